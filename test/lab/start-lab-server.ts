import { fileURLToPath } from 'node:url';
import { forkNode, type TestProcess } from '../harness/processes.ts';
import type { Host } from './lab.ts';

const serverProgram = fileURLToPath(new URL('./lab-server.js', import.meta.url));

/** What the server of the lab's own tests sends. */
export interface LabServerSends {
  readonly listening: number;
}

/** Starts the echo server of the lab's own tests; resolves once it listens. It ends with the lab. */
export async function startLabServer(host: Host, port: number): Promise<TestProcess<LabServerSends>> {
  const server = forkNode<LabServerSends>(serverProgram, { host, args: [`${port}`] }, 'lab-server');
  await server.next('listening');
  return server;
}
