import net from 'node:net';
import tls from 'node:tls';
import { noteChannel } from '../../connection/channel/sockets.ts';
import { remoteName } from '../../connection/peer.ts';
import { LastCallError, serverError } from '../../errors.ts';
import { SocketTransport } from '../link/socket-transport.ts';
import { connectedClient } from './caller.ts';
import { ServerConnection } from './connection.ts';
import { completeServeOptions, type ServeChannelOptions } from './options.ts';
import type { ChannelHandler, ChannelPeer } from './request.ts';

const served = new WeakSet<net.Server>();

/** The channel of a server. */
export interface ChannelServer {
  /** The clients that are connected now, and can get messages. */
  readonly peers: Iterable<ChannelPeer>;
}

/**
 * Serves a channel on every connection that a server accepts from now on. `gracefulClose` and `lastCall` send each client the
 * farewell, and wait for the answer and for the replies to all accepted requests.
 *
 * @param server - A net or tls server. Nothing else may read its connections.
 * @throws `LastCallError`: `ERR_SERVER` for anything but a net or tls server, and for one that serves a channel already. `ERR_OPTION` for a
 *   wrong handler or option.
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
  if (!(server instanceof net.Server) || hasProtocol(server)) throw serverError(server, 'a net or tls server');
  if (served.has(server)) throw new LastCallError('ERR_SERVER', 'The server serves a channel already');
  const settings = completeServeOptions(handler, options);
  served.add(server);
  const connections = new Set<ServerConnection>();
  server.on(server instanceof tls.Server ? 'secureConnection' : 'connection', (socket: net.Socket) => {
    socket.setNoDelay(true);
    const isTcp = socket.remoteAddress !== undefined;
    const client = connectedClient(socket, remoteName(socket, isTcp), settings.identify);
    const connection = new ServerConnection(new SocketTransport(socket), client, settings, () =>
      connections.delete(connection),
    );
    connections.add(connection);
    noteChannel(socket, connection);
  });
  return { peers: { [Symbol.iterator]: () => openOf(connections) } };
}

function* openOf(connections: ReadonlySet<ServerConnection>): Generator<ChannelPeer, undefined> {
  for (const connection of connections) if (connection.isOpen) yield connection;
  return undefined;
}

/** Whether this is an http or http2 server, which reads its connections itself. */
function hasProtocol(server: net.Server): boolean {
  return 'closeIdleConnections' in server || 'updateSettings' in server;
}
