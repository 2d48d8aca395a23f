import net from 'node:net';
import type { SocketAddress } from '../../linux/sockets.ts';

/** What a user names: a process, or the listeners at a port, at one address, or at a Unix path. */
export type Target =
  | { readonly kind: 'process'; readonly pid: number }
  | { readonly kind: 'port'; readonly port: number }
  | { readonly kind: 'address'; readonly address: string; readonly port: number }
  | { readonly kind: 'path'; readonly path: string };

/** A target that cannot be used. `refused`: it must not be signalled. `hidden`: this user cannot see it. */
export class TargetError extends Error {
  override readonly name = 'TargetError';
  readonly fault: 'malformed' | 'not found' | 'refused' | 'hidden';

  constructor(fault: TargetError['fault'], message: string) {
    super(message);
    this.fault = fault;
  }
}

/** The forms of a target, for people. */
export const TARGET_FORMS =
  'a process (12345), a port (:8080, 127.0.0.1:8080 or [::1]:8080) or a Unix path (/run/app.sock)';

/**
 * Parses `12345`, `:8080`, `127.0.0.1:8080`, `[::1]:8080`, `/run/app.sock`, `unix:/run/app.sock` or `@abstract`. Throws a
 * `TargetError` for anything else.
 */
export function parseTarget(text: string): Target {
  if (/^\d{1,10}$/.test(text)) return { kind: 'process', pid: Number(text) };
  if (/^:\d{1,5}$/.test(text)) return { kind: 'port', port: checkPort(text) };
  const address = parseAddress(text);
  if (address !== undefined) return address;
  const path = text.replace(/^unix:/, '').replace(/^@/, '\0');
  if (path.startsWith('/') || path.startsWith('\0')) return { kind: 'path', path };
  throw new TargetError('malformed', `Expected ${TARGET_FORMS}, got \`${text}\``);
}

/** An IPv6 address may be written in many ways; the kernel's tables have the form of RFC 5952, without a zone. */
function parseAddress(text: string): Target | undefined {
  const [, v6, v4 = '', port = ''] = /^(?:\[([0-9a-fA-F:.]+)(?:%[^\]]+)?\]|([\d.]+))(:\d{1,5})$/.exec(text) ?? [];
  const host = v6 ?? v4;
  if (net.isIP(host) !== (v6 === undefined ? 4 : 6)) return undefined;
  const { address } = new net.SocketAddress({ address: host, family: v6 === undefined ? 'ipv4' : 'ipv6' });
  return { kind: 'address', address, port: checkPort(port) };
}

function checkPort(text: string): number {
  const port = Number(text.slice(1));
  if (port <= 65_535) return port;
  throw new TargetError('malformed', `Expected a port of at most 65535, got \`${text}\``);
}

/** Whether a target names the listeners at this address. */
export function isAtTarget(address: SocketAddress, target: Target): boolean {
  if (address.family === 'Unix') return target.kind === 'path' && address.path === target.path;
  if (target.kind !== 'port' && target.kind !== 'address') return false;
  return address.port === target.port && (target.kind === 'port' || address.address === target.address);
}
