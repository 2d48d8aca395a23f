import net from 'node:net';
import tls from 'node:tls';
import { noteChannel } from '../../connection/channel/sockets.ts';
import { remoteName } from '../../connection/peer.ts';
import { LastCallError, serverError } from '../../errors.ts';
import type { ChannelPeer } from '../wire/peer.ts';
import type { ChannelHandler } from './request.ts';
import { ServerConnection } from './connection.ts';
import { completeServeOptions, type ServeChannelOptions } from './options.ts';
import { SocketTransport } from '../link/socket-transport.ts';

const served = new WeakSet<net.Server>();

/** A server's channel. */
export interface ChannelServer {
  /** The clients that are connected now and have greeted. */
  readonly peers: Iterable<ChannelPeer>;
}

/**
 * Serves a channel on every connection that a server accepts from now on. `gracefulClose` and `lastCall` say its farewell
 * to each client and wait for the answer, and for the replies to what was accepted.
 *
 * @param server - A net or tls server, with nothing else that reads its connections.
 * @throws `LastCallError`: `ERR_SERVER` for what is no net or tls server, or serves a channel already, `ERR_OPTION` for a wrong handler or option.
 *
 * @example
 * ```ts
 * import net from 'node:net';
 * import { lastCall } from 'lastcall';
 * import { serveChannel } from 'lastcall/channel';
 *
 * const server = net.createServer().listen(7000);
 * serveChannel(server, async (request) => Buffer.concat([Buffer.from('echo '), await request.bytes()]));
 * lastCall(server);
 * ```
 */
export function serveChannel(
  server: net.Server | tls.Server,
  handler: ChannelHandler,
  options?: ServeChannelOptions,
): ChannelServer {
  if (!(server instanceof net.Server) || speaksSomething(server)) throw serverError(server, 'a net or tls server');
  if (served.has(server)) throw new LastCallError('ERR_SERVER', 'The server serves a channel already');
  const settings = completeServeOptions(handler, options);
  served.add(server);
  const connections = new Set<ServerConnection>();
  server.on(server instanceof tls.Server ? 'secureConnection' : 'connection', (socket: net.Socket) => {
    socket.setNoDelay(true);
    const isTcp = socket.remoteAddress !== undefined;
    const transport = new SocketTransport(socket);
    const connection = new ServerConnection(transport, remoteName(socket, isTcp), settings, () =>
      connections.delete(connection),
    );
    connections.add(connection);
    noteChannel(socket, connection);
    transport.listen(connection.link);
  });
  return { peers: { [Symbol.iterator]: () => openOf(connections) } };
}

function* openOf(connections: ReadonlySet<ServerConnection>): Generator<ChannelPeer, undefined> {
  for (const connection of connections) if (connection.isOpen) yield connection;
  return undefined;
}

/** An http or http2 server reads its connections itself. */
function speaksSomething(server: net.Server): boolean {
  return 'closeIdleConnections' in server || 'updateSettings' in server;
}
