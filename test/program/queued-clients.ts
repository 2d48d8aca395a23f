import { once } from 'node:events';
import net from 'node:net';
import type { TestContext } from 'node:test';

/** Clients that have connected and asked, and what each of them got: `served`, or the code of its error, or `eof`. */
export interface QueuedClients {
  readonly outcomes: Promise<readonly string[]>;
}

/** Connects so many clients, one after the other, to a program that does not accept just now; resolves once all are connected. */
export async function queueClients(t: TestContext, count: number, target: net.NetConnectOpts): Promise<QueuedClients> {
  const sockets: net.Socket[] = [];
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  for (let client = 0; client < count; client += 1) {
    const socket = net.connect(target);
    sockets.push(socket);
    await once(socket, 'connect', { signal: t.signal });
    socket.write('GET / HTTP/1.1\r\nHost: program\r\n\r\n');
  }
  return { outcomes: Promise.all(sockets.map(outcomeOf)) };
}

/** Of all clients, how many got what. */
export function tally(outcomes: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

function outcomeOf(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('end', () => resolve(received.trimEnd().endsWith('served') ? 'served' : 'eof'));
  });
}
