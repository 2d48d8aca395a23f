import net from 'node:net';
import { httpSockets, isUnderTls, socketBelow } from '../../node/fields.ts';
import { replaceMethod } from '../../node/replace.ts';
import { isSecured, prototypeOfTlsSockets } from '../../node/socket-fields.ts';

/** Called with a TLS socket that is put on another socket; its handshake may be done or not. */
type OnTls = (tls: net.Socket) => void;

/** The TLS socket on each socket that has one. TLS may be put on TLS. */
const tlsOn = new WeakMap<net.Socket, net.Socket>();
const watched = new WeakSet<net.Server>();
const observers = new Set<OnTls>();
let isWatching = false;

/**
 * From now on remembers each TLS socket that is put on another socket, by any part of the program: a TLS server that accepted the
 * connection, one that it was handed to, or the program itself (STARTTLS). From the socket below it cannot be found later.
 * Does nothing as long as the program has not loaded node:tls: call it again when that may have changed.
 */
export function watchTls(): void {
  const prototype = isWatching ? undefined : prototypeOfTlsSockets();
  if (prototype === undefined) return;
  isWatching = true;
  replaceMethod(
    prototype,
    '_init',
    (original) =>
      function initAndNote(this: net.Socket, ...args: readonly unknown[]) {
        const result = original(this, args);
        noteTls(this);
        return result;
      },
  );
}

/**
 * Remembers the TLS sockets of a server where `watchTls` cannot: those from before, which only http's own list shows, and those
 * of other runtimes. Does nothing for a server without TLS, or a second time.
 */
export function watchHandshakes(server: net.Server): void {
  watchTls();
  if (watched.has(server)) return;
  watched.add(server);
  for (const socket of httpSockets(server)) if (socket instanceof net.Socket) noteTls(socket);
  if (!isWatching && isTlsServer(server)) server.prependListener('secureConnection', noteTls);
}

/** Calls back for each TLS socket that is put on another, until `signal` aborts. */
export function onTls(observer: OnTls, signal: AbortSignal): void {
  observers.add(observer);
  signal.addEventListener('abort', () => observers.delete(observer));
}

/** The TLS socket right on a socket, the handshake done or not. */
export function layerOn(socket: net.Socket): net.Socket | undefined {
  return tlsOn.get(socket);
}

/** A connection's sockets, the lowest first: that of the kernel, and each TLS socket on it, the handshake done or not. */
export function layersOn(transport: net.Socket): readonly net.Socket[] {
  const layers = [transport];
  for (let next = tlsOn.get(transport); next !== undefined; next = tlsOn.get(next)) layers.push(next);
  return layers;
}

/** The socket that the program sees: the uppermost TLS socket whose handshake is done, else the kernel's. */
export function programSocket(transport: net.Socket): net.Socket {
  let program = transport;
  for (let next = tlsOn.get(program); next !== undefined && isSecured(next); next = tlsOn.get(program)) program = next;
  return program;
}

/** The kernel's socket under the one that the program sees. */
export function transportSocket(program: net.Socket): net.Socket {
  let transport = program;
  for (let next = socketBelow(transport); next instanceof net.Socket; next = socketBelow(transport)) transport = next;
  return transport;
}

/** Whether the client has begun a TLS handshake, which may take long: a program may fetch the certificate. */
export function isHandshaking(transport: net.Socket): boolean {
  return transport.bytesRead > 0 && tlsOn.has(programSocket(transport));
}

/**
 * Whether TLS is on a connection and its TLS socket is not known, for it is older than `watchTls`. What is spoken there is not
 * known either.
 */
export function isUnderUnknownTls(transport: net.Socket): boolean {
  const top = layersOn(transport).at(-1) ?? transport;
  return isUnderTls(top);
}

export function isTlsServer(server: net.Server): boolean {
  return 'setSecureContext' in server;
}

function noteTls(tls: net.Socket): void {
  const below = socketBelow(tls);
  if (!(below instanceof net.Socket) || tlsOn.get(below) === tls) return;
  tlsOn.set(below, tls);
  for (const observer of observers) observer(tls);
}
