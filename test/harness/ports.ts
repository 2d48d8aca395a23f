import { once } from 'node:events';
import net from 'node:net';
import { readTcpTable } from '../../src/linux/tables/proc-net.ts';
import { until } from './wait.ts';

// net/tcp_states.h
const LISTEN = 10;

/** A port of 127.0.0.1 at which nobody listens, for a program that must be told one. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server);
  await once(server.close(), 'close');
  return port;
}

/** The port of a server that listens. */
export function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('Expected a server that listens at a port');
  return address.port;
}

/** Whether a new connection gets in. */
export async function isAccepted(target: net.NetConnectOpts): Promise<boolean> {
  const socket = net.connect(target);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Resolves when new connections get in, or, with `wanted` false, are refused. */
export async function untilAccepted(target: net.NetConnectOpts, wanted = true): Promise<void> {
  const what = `${JSON.stringify(target)} ${wanted ? 'accepts' : 'refuses'}`;
  await until(what, async () => (await isAccepted(target)) === wanted);
}

/** How many clients wait in the accept queue of the listener at this port, on this host; 0 where there is none. */
export function queuedAt(port: number): number {
  const rows = (['IPv4', 'IPv6'] as const).flatMap((family) => readTcpTable(family));
  return rows.find((row) => row.state === LISTEN && row.localPort === port)?.receiveQueue ?? 0;
}
