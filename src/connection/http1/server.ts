import http from 'node:http';
import net from 'node:net';
import { endListenersOfHttp } from '../../node/fields.ts';

/** Whether the server speaks HTTP/1.1: http and https alike, and http2 with `allowHTTP1`. */
export function isHttp1Server(server: net.Server): boolean {
  return 'closeIdleConnections' in server || server instanceof http.Server;
}

/**
 * Takes Node's parser off a connection, for it would hand the next request to the program, and throws away what comes.
 * `onFirst` is called at the first bytes.
 */
export function discardIncoming(socket: net.Socket, onFirst: () => void): void {
  const discard = (): void => {};
  // http takes its parser off the handle as soon as somebody else listens for 'data'.
  socket.on('data', discard);
  for (const listener of socket.listeners('data')) {
    if (listener !== discard) socket.removeListener('data', listener as (chunk: Buffer) => void);
  }
  for (const listener of endListenersOfHttp(socket)) socket.removeListener('end', listener);
  socket.once('data', onFirst);
  socket.resume();
  // http may have stopped reading, while the program is slow with a body; what would start it again is off, too.
  socket._read(0);
}

/** Stops what http keeps running for its connections. Call it after the last one has gone. */
export function releaseServers(servers: readonly net.Server[]): void {
  // One that listens anew needs its own.
  for (const server of servers) if (!server.listening) stopConnectionsChecker(server);
}

/**
 * Stops the interval in which http checks its time limits for heads and bodies. net.Server's close leaves it running
 * on purpose; http's own close is called here on a stand-in, so that 'close' is not emitted a second time.
 */
function stopConnectionsChecker(server: net.Server): void {
  if (!isHttp1Server(server)) return;
  const standIn: unknown = Object.create(server, {
    _handle: { value: null },
    _emitCloseIfDrained: { value: () => {} },
    closeIdleConnections: { value: () => {} },
  });
  // Not the server's own close, which may be the program's.
  if (standIn instanceof net.Server) Reflect.apply(http.Server.prototype.close, standIn, []);
}
