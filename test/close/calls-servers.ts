import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { Worker } from 'node:worker_threads';
import { blockUntil } from '../harness/block.ts';
import { portOf } from '../harness/ports.ts';
import { listenHttp } from '../harness/servers.ts';
import { within } from '../harness/wait.ts';

/** For closes that have nothing to wait for. */
export const SOON = { idleWait: 50, lingerWait: 50 } as const;

/** A client's connection, and what it got: the status line, or the error's code. */
export interface Asked {
  readonly socket: net.Socket;
  readonly answer: Promise<string>;
}

/** A client that has sent a request; what it got, or the error's code, is told at the end. */
export function ask(port: number, connection = 'close'): Asked {
  const socket = net.connect({ host: '127.0.0.1', port });
  socket.write(`GET / HTTP/1.1\r\nHost: x\r\nConnection: ${connection}\r\n\r\n`);
  const answer = new Promise<string>((resolve) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('end', () => resolve(text.split('\r\n', 1)[0] ?? ''));
  });
  return { socket, answer };
}

/** A server whose only client waits. */
export interface Busy {
  readonly server: http.Server;
  readonly client: Asked;
  /** Answers the client. */
  readonly answer: () => void;
}

/** A server whose only client waits for an answer that does not come before `answer` is called. For `await using`. */
export async function listenBusy(): Promise<Busy & AsyncDisposable> {
  const server = await listenHttp(() => {});
  const client = ask(portOf(server));
  const [, response] = await within('the request', once(server, 'request'));
  return {
    server,
    client,
    answer: () => response.end('served'),
    [Symbol.asyncDispose]: () => {
      client.socket.destroy();
      return server[Symbol.asyncDispose]();
    },
  };
}

/** Clients that the kernel has let in, and the program has not. */
export interface Queue extends AsyncDisposable {
  /** What each of them got. */
  readonly answers: Promise<readonly string[]>;
}

/** Holds up the loop until another thread has `clients` connections to the port, and for `least` ms. For `await using`. */
export function queueClients(port: number, clients: number, least = 0): Queue {
  const end = performance.now() + least;
  const connected = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL('../fixtures/close/call-clients.js', import.meta.url), {
    workerData: { port, clients, connected },
  });
  blockUntil(
    `${clients} clients are connected`,
    () => Atomics.load(connected, 0) >= clients && performance.now() >= end,
  );
  return {
    answers: once(worker, 'message').then(([answers]) => answers),
    [Symbol.asyncDispose]: async () => void (await worker.terminate()),
  };
}
