import net from 'node:net';
import { InvalidArgumentError } from 'commander';
import type { SocketAddress } from '../linux/sockets.ts';

const FORMS = 'Expected tcp:8080, tcp:127.0.0.1:8080, tcp:[::1]:8080 or unix:/run/app.sock.';

/** The address that `--listen` names; a port alone is all addresses, IPv6 and IPv4. */
export function listenAddress(text: string): SocketAddress {
  const [, path] = /^unix:([/@].+)$/.exec(text) ?? [];
  if (path !== undefined) return { family: 'Unix', path: path.replace(/^@/, '\0') };
  const [, host, digits = ''] = /^tcp:(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const address = host?.replaceAll(/^\[|\]$/g, '') ?? '::';
  const family = net.isIP(address);
  if (digits === '' || port > 65_535 || family === 0) throw new InvalidArgumentError(FORMS);
  return { family: family === 4 ? 'IPv4' : 'IPv6', address, port };
}
