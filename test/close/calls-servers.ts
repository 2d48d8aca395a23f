import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';

/** For closes that have nothing to wait for. */
export const SOON = { idleWait: 50, lingerWait: 50 } as const;

/** Listens on loopback until the test ends. */
export async function startServer<S extends net.Server>(t: TestContext, server: S): Promise<S> {
  t.after(() => {
    if (server.listening) server.close();
    if (server instanceof http.Server) server.closeAllConnections();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

/** An HTTP server that answers 200 to everything, unless told otherwise. */
export function startHttp(t: TestContext, handler?: http.RequestListener): Promise<http.Server> {
  return startServer(t, http.createServer(handler ?? ((_, response) => void response.end('served'))));
}

export function portOf(server: net.Server): number {
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  return address.port;
}

/** A client that has sent a request; what it got, or the error's code, is told at the end. */
export function ask(port: number, connection = 'close'): { socket: net.Socket; answer: Promise<string> } {
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

/** A server whose only client waits for an answer that does not come before `answer` is called. */
export async function startBusy(
  t: TestContext,
): Promise<{ server: http.Server; client: ReturnType<typeof ask>; answer: () => void }> {
  const server = await startHttp(t, () => {});
  const client = ask(portOf(server));
  t.after(() => client.socket.destroy());
  const [, response] = await once(server, 'request');
  return { server, client, answer: () => response.end('served') };
}

/** Holds up the loop until the other thread has `clients` connections to the port, and for `least` ms. */
export function blockUntilQueued(
  t: TestContext,
  port: number,
  clients: number,
  least: number,
): Promise<readonly string[]> {
  const began = performance.now();
  const connected = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL('../fixtures/close/call-clients.js', import.meta.url), {
    workerData: { port, clients, connected },
  });
  t.after(() => worker.terminate());
  for (let count = 0; count < clients; count = Atomics.load(connected, 0)) Atomics.wait(connected, 0, count, 10_000);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.max(0, least - (performance.now() - began)));
  return once(worker, 'message').then(([answers]) => answers);
}
