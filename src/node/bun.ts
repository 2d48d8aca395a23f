import net from 'node:net';
import { replaceMethod } from './replace.ts';

/** Whether this is Bun. It has Node's modules, but shows nothing of what a close must know about connections. */
export const isBun: boolean = 'bun' in process.versions;

const sockets = new Set<net.Socket>();
const remembered = new WeakSet<net.Server>();

/**
 * From now on remembers the connections of every server of node:net, node:tls and node:http2 that begins to listen. Bun's
 * `process._getActiveHandles` is always empty, and nothing else lists them. (Its http servers are none of node:net, and have
 * no sockets that could be ended.)
 */
export function rememberSockets(): void {
  replaceMethod(
    net.Server.prototype,
    'listen',
    (original) =>
      function listenAndRemember(this: net.Server, ...args: readonly unknown[]) {
        if (!remembered.has(this)) this.prependListener('connection', remember);
        remembered.add(this);
        return original(this, args);
      },
  );
}

/** Those of them that are open. */
export function rememberedSockets(): readonly net.Socket[] {
  return [...sockets];
}

function remember(socket: net.Socket): void {
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
}
