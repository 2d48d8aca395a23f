import net from 'node:net';
import { parserOn, serverOf } from '../node-fields.ts';
import type { Protocol } from './connection.ts';
import { isHttp1Server } from './http1.ts';
import { isHttp2Server, sessionOn } from './http2.ts';
import { isTlsServer, programSocket } from './tls.ts';
import { isWebSocket } from './upgrades.ts';

/** What a connection speaks now: it may be upgraded, and a TLS client chooses only in its handshake. */
export function protocolOf(server: net.Server, socket: net.Socket): Protocol {
  const program = programSocket(socket);
  if (isWebSocket(program)) return 'websocket';
  if (parserOn(program) !== undefined) return 'http/1.1';
  // Whichever server has accepted it: a session may be another's, to whom it was handed, or nobody's (performServerHandshake).
  if (sessionOn(program) !== undefined) return 'h2';
  const speaks = serverOf(program);
  const serving = speaks instanceof net.Server ? speaks : server;
  if (isHttp2Server(serving)) return isReady(serving, socket) ? 'raw' : 'h2';
  // Node has taken its parser off: something else is spoken by now.
  return isHttp1Server(serving) && !isReady(serving, socket) ? 'http/1.1' : 'raw';
}

/** Whether the program has the connection: under TLS it has not before the handshake is done. */
function isReady(server: net.Server, socket: net.Socket): boolean {
  return !isTlsServer(server) || programSocket(socket) !== socket;
}
