import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Host } from './lab.ts';

const serverProgram = fileURLToPath(new URL('./lab-server.js', import.meta.url));

/** Starts the echo server of the lab's own tests; resolves once it listens. */
export async function startLabServer(host: Host, port: number): Promise<ChildProcess> {
  const server = host.fork(serverProgram, [`${port}`]);
  await once(server, 'message');
  return server;
}
