import { once } from 'node:events';
import { writeSync } from 'node:fs';
import type net from 'node:net';
import type { Answer } from '../processes/messages.ts';

// Longer than the accept queue of any part.
const BACKLOG = 4_096;

/** Tells the benchmark, from within a measured server. */
export function tell(answer: Answer): void {
  writeSync(1, `${JSON.stringify(answer)}\n`);
}

/** Listens on a port of the kernel's choice and tells it. */
export async function listenAndTell(server: net.Server, host: string): Promise<void> {
  server.listen({ host, port: 0, backlog: BACKLOG });
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server does not listen on a port');
  tell({ kind: 'listening', port: address.port });
}

/** Milliseconds of CPU time, user and system. */
export function cpuSoFar(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
