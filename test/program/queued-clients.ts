import { once } from 'node:events';
import net from 'node:net';
import { within } from '../harness/wait.ts';

/** Connected clients. For `using`: they are closed at the end of the block. */
export interface QueuedClients extends Disposable {
  /** Sends the request of each client that has not sent it. */
  ask(): void;
  /** The outcome of each client: `served`, the code of its error, or `eof`. */
  readonly outcomes: Promise<readonly string[]>;
}

/** Connects `count` clients, one after another, to a program that is not accepting. Then each sends its request. */
export async function queueClients(count: number, target: net.NetConnectOpts): Promise<QueuedClients> {
  const clients = await connectSilently(count, target);
  clients.ask();
  return clients;
}

/** The same, but the clients send nothing before `ask`. */
export async function connectSilently(count: number, target: net.NetConnectOpts): Promise<QueuedClients> {
  const sockets: net.Socket[] = [];
  const dispose = (): void => sockets.forEach((socket) => socket.destroy());
  const outcomes: Promise<string>[] = [];
  try {
    for (let client = 0; client < count; client += 1) {
      const socket = net.connect(target);
      sockets.push(socket);
      await within(`client ${client + 1} of ${count} to be connected`, once(socket, 'connect'));
      outcomes.push(outcomeOf(socket));
    }
  } catch (error) {
    dispose();
    throw error;
  }
  const silent = [...sockets];
  return {
    ask: () => silent.splice(0).forEach((socket) => socket.write('GET / HTTP/1.1\r\nHost: program\r\n\r\n')),
    get outcomes() {
      return within(`the outcomes of ${count} clients`, Promise.all(outcomes));
    },
    [Symbol.dispose]: dispose,
  };
}

/** Counts each outcome. */
export function tally(outcomes: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

/** Counts the clients that were not served. */
export function countUnserved(outcomes: readonly string[]): number {
  return outcomes.filter((outcome) => outcome !== 'served').length;
}

function outcomeOf(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('end', () => resolve(received.trimEnd().endsWith('served') ? 'served' : 'eof'));
    socket.once('close', () => resolve('closed'));
  });
}
