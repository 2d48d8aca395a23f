import net from 'node:net';
import { isUnderTls, parserOn, serverOf } from '../node/fields.ts';
import type { Protocol } from '../close/report.ts';
import { channelOn } from './channel/sockets.ts';
import { isHttp1Server } from './http1/server.ts';
import { isHttp2Server, sessionOn } from './http2/session.ts';
import { layersOn, programSocket } from './tls/sockets.ts';
import { hasAskedForChange, isWebSocket } from './http1/upgrades.ts';

/** What a connection speaks now. It may be upgraded, and a TLS client chooses only in its handshake. */
export function protocolOf(server: net.Server, socket: net.Socket): Protocol {
  const program = programSocket(socket);
  if (isWebSocket(program)) return 'websocket';
  if (channelOn(program) !== undefined) return 'channel';
  if (parserOn(program) !== undefined) return 'http/1.1';
  // A session may belong to another server than the one that accepted, or to none (performServerHandshake).
  if (sessionOn(program) !== undefined) return 'h2';
  const serving = servingOf(server, socket);
  if (isHttp2Server(serving)) return isReady(socket) ? 'raw' : 'h2';
  // Node has taken its parser off: something else is spoken by now.
  return isHttp1Server(serving) && !isReady(socket) ? 'http/1.1' : 'raw';
}

/**
 * What a connection spoke that has ended. `protocolOf` takes it for `raw`, for its parser or session is gone. `last` is what
 * it spoke at the last look.
 */
export function spokenOn(server: net.Server, socket: net.Socket, last: Protocol | undefined): Protocol {
  const program = programSocket(socket);
  if (hasAskedForChange(program)) return 'raw';
  if (last !== undefined) return last;
  const serving = servingOf(server, socket);
  // A TLS client has chosen one of two protocols (RFC 7301); in cleartext there is no choice.
  const chosen: unknown = Reflect.get(program, 'alpnProtocol');
  if (isHttp2Server(serving) && (chosen === undefined || chosen === 'h2')) return 'h2';
  return isHttp1Server(serving) ? 'http/1.1' : 'raw';
}

/**
 * The server whose protocol is spoken, which need not be the one that has accepted the connection: a TLS socket shows its own
 * server before its handshake is done.
 */
function servingOf(server: net.Server, socket: net.Socket): net.Server {
  const speak = layersOn(socket).map(serverOf);
  return speak.findLast((speaks) => speaks instanceof net.Server) ?? server;
}

/** Whether the program has the connection: under TLS it has not before the handshake is done. */
function isReady(socket: net.Socket): boolean {
  const program = programSocket(socket);
  return layersOn(socket).at(-1) === program && !isUnderTls(program);
}
