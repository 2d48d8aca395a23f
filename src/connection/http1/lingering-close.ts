import type http from 'node:http';
import type https from 'node:https';
import net from 'node:net';
import { serverError } from '../../errors.ts';
import { unacknowledged } from '../acknowledged.ts';
import { discardIncoming } from './server.ts';
import { connectionsOf } from '../open-connections.ts';
import { isTlsServer, programSocket, transportSocket, watchHandshakes } from '../tls/sockets.ts';

// How long, and how much, to go on reading after the last response: a client that sends for ever is cut off.
const LINGER_AT_MOST = 30_000;
const SILENCE_AT_MOST = 2_000;
const BYTES_AT_MOST = 64 * 1024 * 1024;
const LOOK_EVERY = 250;

const lingering = new WeakSet<net.Server>();

/**
 * Gives an http or https server the lingering close that Node lacks, in normal service. After the last response of a connection
 * Node closes the socket. If the client is still sending, the kernel answers with a reset, which destroys what the client has
 * not read of the response (RFC 9112 9.6, RFC 2525 2.17). That is how an early 413, 401 or redirect is lost. With this the
 * server sends its FIN, goes on reading, and throws away what comes, until the client's end: for 30 s at most, 64 MiB at most,
 * and until the client has been silent for 2 s and has acknowledged everything.
 *
 * Call it once for a server; a second call does nothing. A graceful close lingers by itself.
 *
 * @throws `LastCallError` with code `ERR_SERVER` for what is no http or https server.
 *
 * @example
 * ```ts
 * import http from 'node:http';
 * import { lingeringClose } from 'lastcall';
 *
 * const server = http.createServer((request, response) => {
 *   response.writeHead(413, { Connection: 'close' }).end('too large\n');
 * });
 * lingeringClose(server);
 * server.listen(8080);
 * ```
 */
export function lingeringClose(server: http.Server | https.Server): void {
  // An https server is a tls server to JavaScript; what it has of http is its time limits.
  const given: unknown = server;
  if (!(given instanceof net.Server) || !('requestTimeout' in given)) {
    throw serverError(given, 'an http or https server');
  }
  lingerOn(given);
}

/** The same for a server that is known to speak HTTP/1.1. */
export function lingerOn(server: net.Server): void {
  if (lingering.has(server)) return;
  lingering.add(server);
  watchHandshakes(server);
  server.prependListener(isTlsServer(server) ? 'secureConnection' : 'connection', lingerAfterLast);
  for (const socket of connectionsOf(server)) lingerAfterLast(programSocket(socket));
}

/** http calls `destroySoon` after a connection's last response. */
function lingerAfterLast(socket: net.Socket): void {
  socket.destroySoon = () => linger(socket);
}

function linger(socket: net.Socket): void {
  if (socket.writableEnded) return;
  const bytesBefore = socket.bytesRead;
  const began = performance.now();
  let heard = { bytes: bytesBefore, at: began };
  discardIncoming(socket, () => {});
  socket.end();
  const timer = setInterval(() => {
    const now = performance.now();
    if (socket.bytesRead > heard.bytes) heard = { bytes: socket.bytesRead, at: now };
    const isSilent = now - heard.at > SILENCE_AT_MOST && unacknowledged(transportSocket(socket)) === 0;
    const isEnough = now - began > LINGER_AT_MOST || socket.bytesRead - bytesBefore > BYTES_AT_MOST;
    if (isSilent || isEnough) socket.destroy();
  }, LOOK_EVERY);
  socket.once('close', () => clearInterval(timer));
}
