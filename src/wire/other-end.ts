import net from 'node:net';
import { openSync, closeSync } from 'node:fs';
import { inNetworkNamespace } from '../linux/network/namespace.ts';

/** The server's host, as a program on the client's host knows it. */
export interface OtherEnd {
  /** The path of its network namespace. It exists as long as the wire. */
  readonly namespace: string;
  /** The IPv4 address that the client reaches it at. */
  readonly address: string;
}

const VARIABLE = 'LASTCALL_OTHER_END';

/** The variable that tells a program on the client's host of the server's. */
export function otherEndVariable(end: OtherEnd): Readonly<Record<string, string>> {
  return { [VARIABLE]: JSON.stringify(end) };
}

/**
 * The server's host, if this process runs on the client's. Takes the variable away: it is not for the programs that this one
 * starts. Throws if the variable is not one of ours.
 */
export function takeOtherEnd(env: NodeJS.ProcessEnv = process.env): OtherEnd | undefined {
  const text = env[VARIABLE];
  if (text === undefined) return undefined;
  delete env[VARIABLE];
  const { namespace, address }: { readonly namespace?: unknown; readonly address?: unknown } = Object(parse(text));
  const isPath = typeof namespace === 'string' && /^\/proc\/\d+\/fd\/\d+$/.test(namespace);
  if (!isPath || typeof address !== 'string' || net.isIP(address) === 0) {
    throw new Error(`Expected ${VARIABLE} to be set by lastcall alone, got \`${text}\``);
  }
  return { namespace, address };
}

/** The words that go before a command line, so that it runs on the server's host (nsenter(1) becomes the command). */
export function enterOtherEnd({ namespace }: OtherEnd): readonly string[] {
  return ['nsenter', `--net=${namespace}`, '--'];
}

/** Runs `act` on the server's host: a socket that it makes belongs there. `act` must not be asynchronous. */
export function onOtherEnd<T>({ namespace }: OtherEnd, act: () => T): T {
  const descriptor = openSync(namespace, 'r');
  try {
    return inNetworkNamespace(descriptor, act);
  } finally {
    closeSync(descriptor);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
