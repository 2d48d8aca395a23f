import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import net from 'node:net';
import { isBun } from './bun.ts';
import { activeHandles, field, serverOf } from './fields.ts';

/**
 * What Node keeps of what is on a socket, and does not document: like fields.ts, with the same checks.
 */

/**
 * What `pick` returns for the first server that it knows of those that a socket shows: the one that accepted it, the one whose
 * protocol it speaks, and the http2 server whose session is on it (under a symbol, for an http2 server sets no other mark on a
 * socket that is handed to it).
 */
export function firstShownBy<T>(socket: net.Socket, pick: (server: net.Server) => T | undefined): T | undefined {
  const speaks = serverOf(socket);
  const acceptor = listenerBehind(socket) ?? speaks;
  const accepted = isServer(acceptor) ? pick(acceptor) : undefined;
  if (accepted !== undefined) return accepted;
  const spoken = speaks !== acceptor && isServer(speaks) ? pick(speaks) : undefined;
  if (spoken !== undefined) return spoken;
  const http2 = http2ServerOn(socket);
  return http2 !== acceptor && http2 !== speaks && isServer(http2) ? pick(http2) : undefined;
}

let http2Symbol: symbol | undefined;

/** All http2 servers use the same symbol: to look for it on ten thousand sockets would take long. */
function http2ServerOn(socket: net.Socket): unknown {
  if (http2Symbol !== undefined) return Reflect.get(Object(socket), http2Symbol);
  if (!isLoaded('http2')) return undefined;
  const symbols = Object.getOwnPropertySymbols(Object(socket));
  const found = symbols.find(({ description }) => description === 'server');
  const server: unknown = found === undefined ? undefined : Reflect.get(socket, found);
  if (isServer(server) && 'updateSettings' in server) http2Symbol = found;
  return server;
}

function isServer(value: unknown): value is net.Server {
  return value instanceof net.Server;
}

/** Whether Node has loaded a module of its own; true where it does not show that. */
function isLoaded(name: string): boolean {
  const loaded = field(process, 'moduleLoadList');
  if (!Array.isArray(loaded)) return true;
  if (loaded.length !== lookedThrough.length) lookedThrough = { length: loaded.length, names: new Set(loaded) };
  return lookedThrough.names.has(`NativeModule ${name}`);
}

/** Looked through again only when there are more: this is asked for each connection. */
let lookedThrough: { readonly length: number; readonly names: ReadonlySet<unknown> } = { length: 0, names: new Set() };

/** The server that accepted a socket in this process; undefined for one that came by a message, or from a program's hands. */
export function listenerBehind(socket: net.Socket): unknown {
  return field(socket, '_server') ?? undefined;
}

/**
 * What is the same for a server and for a Proxy around it, which are two objects: the list of listeners. It is another one
 * when the last listener has gone, so compare it, and do not keep it.
 */
export function identityOf(server: unknown): unknown {
  return field(server, '_events') ?? server;
}

/** Whether the handshake of a TLS socket is done. Where Node does not show it, only those that are done are ever seen. */
export function isSecured(tls: net.Socket): boolean {
  return field(tls, '_secureEstablished') !== false;
}

/**
 * The prototype of TLS sockets, where the program has loaded node:tls and each new TLS socket calls its `_init`; node:tls is
 * large, and is not loaded for this.
 */
export function prototypeOfTlsSockets(): object | undefined {
  if (isBun || 'deno' in process.versions || !isLoaded('tls')) return undefined;
  const prototype = field(field(process.getBuiltinModule('node:tls'), 'TLSSocket'), 'prototype');
  const isAsExpected = typeof field(prototype, '_init') === 'function';
  return isAsExpected && typeof prototype === 'object' && prototype !== null ? prototype : undefined;
}

/** Whether a socket was sent to another process: Node takes its handle away, and it never emits 'close'. */
export function wasSentAway(socket: net.Socket): boolean {
  return !isBun && field(socket, '_handle') === null && !socket.destroyed && !socket.connecting;
}

/** How many sockets are on their way to other processes: their handles stay here until they have arrived. */
export function socketsInTransit(): number {
  return activeHandles().filter((handle) => handle instanceof net.Socket && wasSentAway(handle)).length;
}

/** A process that was sent sockets of a server. */
export interface Receiver {
  readonly child: ChildProcess;
  /** Asks it how many of them are open there. */
  readonly count: (callback: (error: Error | null, open?: number) => void) => void;
}

/** The processes that were sent sockets which a server has accepted: Node keeps those that live. */
export function receiversOf(server: net.Server): readonly Receiver[] {
  const workers = field(server, '_usingWorkers') === true ? field(server, '_workers') : [];
  return (Array.isArray(workers) ? workers : []).flatMap((list: unknown) => {
    const count = field(list, 'getConnections');
    const child = field(list, 'child');
    if (typeof count !== 'function' || !isChild(child)) return [];
    return [{ child, count: (callback) => void Reflect.apply(count, list, [callback]) }];
  });
}

function isChild(value: unknown): value is ChildProcess {
  return value instanceof EventEmitter && 'pid' in value && 'exitCode' in value && 'connected' in value;
}

/** Calls back whenever this process gets a socket by a message from its parent (`subprocess.send(message, socket)`). */
export function onSocketReceived(callback: () => void): void {
  if (process.channel === undefined) return;
  // As for what is passed up, this does not keep the channel open.
  const parent: EventEmitter = process;
  parent.on('internalMessage', (message: unknown) => {
    if (field(message, 'cmd') === 'NODE_HANDLE' && field(message, 'type') === 'net.Socket') callback();
  });
}
