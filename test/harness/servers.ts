import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { until } from './wait.ts';

const acceptedBy = new WeakMap<net.Server, Set<net.Socket>>();

/**
 * Listens, by default at a free port of loopback. For `await using`: at the end of the block its connections are destroyed and it
 * listens no more. (Node's own disposal waits for the connections.)
 *
 * @example
 * await using server = await listen(net.createServer(talk));
 */
export async function listen<S extends net.Server>(
  server: S,
  where: net.ListenOptions = { port: 0, host: '127.0.0.1' },
): Promise<S & AsyncDisposable> {
  const accepted = new Set<net.Socket>();
  acceptedBy.set(server, accepted);
  server.on('connection', (socket: net.Socket) => {
    accepted.add(socket);
    socket.once('close', () => accepted.delete(socket));
  });
  await once(server.listen(where), 'listening');
  return Object.assign(server, {
    [Symbol.asyncDispose]: async (): Promise<void> => {
      for (const socket of accepted) socket.destroy();
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  });
}

/** The same with an HTTP server, which answers 200 to everything unless told otherwise. */
export function listenHttp(handler?: http.RequestListener): Promise<http.Server & AsyncDisposable> {
  return listen(http.createServer(handler ?? ((_, response) => void response.end('served'))));
}

/** Resolves when a server that {@link listen} has started has read all that this client has sent over TCP. */
export async function untilRead(server: net.Server, client: net.Socket): Promise<void> {
  await until(`the server has read ${client.bytesWritten} bytes`, () => {
    const sockets = [...(acceptedBy.get(server) ?? [])];
    const socket = sockets.find(({ remotePort }) => remotePort === client.localPort);
    return socket?.bytesRead === client.bytesWritten;
  });
}
