import net from 'node:net';
import { replaceMethod } from './replace.ts';

/** Whether this is Bun: it has Node's modules, and of what a close must know about connections it tells nothing. */
export const isBun: boolean = 'bun' in process.versions;

const sockets = new Set<net.Socket>();
const remembered = new WeakSet<net.Server>();

/**
 * Begins to remember the connections of every server of node:net, node:tls and node:http2 that listens from now on. Bun's
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
