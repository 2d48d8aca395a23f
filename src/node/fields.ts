import type { EventEmitter } from 'node:events';
import type http from 'node:http';
import type net from 'node:net';
import { isBun, rememberedSockets } from './bun.ts';
import { type Replacement, replaceMethod } from './replace.ts';

/**
 * What a close must know and Node does not document. No other file reads such a field. Each is checked for being there and of
 * the right type, and its absence has an answer.
 */

/** How a server came to listen: by its own bind(2), or with a socket that was made elsewhere. */
export type ListeningOrigin = 'port' | 'path' | 'descriptor' | 'unknown';

/** What stands for the socket in the kernel, as long as it is open; a server that listens again has another one. */
export function handleOf(server: net.Server): unknown {
  return field(server, '_handle') ?? undefined;
}

/** The descriptor of a server or socket while it is open; undefined when closed, or where Node has no handle for it. */
export function descriptorOf(owner: net.Server | net.Socket): number | undefined {
  const handle = field(owner, '_handle');
  const fd = field(handle, 'fd');
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

/** Whether a socket is a TCP one, by its handle: to ask for its address is a system call. */
export function isTcp(socket: net.Socket): boolean {
  const handle = field(socket, '_handle');
  return typeof field(handle, 'setNoDelay') === 'function';
}

/** How the server came to listen: `_connectionKey` is `type:address:port`, with `null` where a descriptor or handle came instead. */
export function originOf(server: net.Server): ListeningOrigin {
  const key = field(server, '_connectionKey');
  if (typeof key !== 'string') return 'unknown';
  // A handle has the type of a path, -1, and no address. (Only `address()` shows the difference to a path that is called null.)
  if (key === '-1:null:-1' && server.address() !== 'null') return 'descriptor';
  if (key.startsWith('4:') || key.startsWith('6:')) return 'port';
  if (key.startsWith('-1:')) return 'path';
  return 'descriptor';
}

/**
 * Calls back whenever the parent has taken a handle that this process sent it over its message channel: the receiver
 * acknowledges each (`NODE_HANDLE_ACK`), which Node emits as an `internalMessage`. Does nothing without a channel.
 */
export function onHandlePassedUp(callback: () => void): void {
  if (process.channel === undefined) return;
  // Listening for it does not keep the channel open, as 'message' would.
  const parent: EventEmitter = process;
  parent.on('internalMessage', (message) => {
    if (field(message, 'cmd') === 'NODE_HANDLE_ACK') callback();
  });
}

/** The `cmd` of messages between the processes of one service. Node shows those whose `cmd` begins so to nobody as a 'message'. */
const UNSEEN = 'NODE_LASTCALL';

/** What can send and receive over a message channel: this process, or a child. */
export interface ChannelEnd extends EventEmitter {
  readonly connected?: boolean;
  send?(message: object, handle?: undefined, options?: undefined, callback?: (error: Error | null) => void): boolean;
}

/** Sends over a message channel what the program at its other end does not see. */
export function sendUnseen(end: ChannelEnd, body: object): void {
  // Without a callback a channel that is just closing emits 'error'.
  if (end.connected === true) end.send?.({ cmd: UNSEEN, body }, undefined, undefined, () => {});
}

/** Receives what `sendUnseen` sends; returns an undo function. It does not keep the channel open. */
export function onUnseen(end: ChannelEnd, listener: (body: unknown) => void): () => void {
  const receive = (message: unknown): void => {
    if (field(message, 'cmd') === UNSEEN) listener(field(message, 'body'));
  };
  end.on('internalMessage', receive);
  return () => end.off('internalMessage', receive);
}

/**
 * How many accepted connections are on their way from a cluster's primary to its workers: handles that keep the process alive
 * and that no stream owns. A worker that is busy leaves them with the primary. (A message channel is such a handle, too, and
 * has a place for the handle that it passes on.)
 */
export function connectionsInTransit(isListening: (fd: number) => boolean): number {
  return activeHandles().filter((handle) => {
    const fd = field(handle, 'fd');
    const name: unknown = field(field(handle, 'constructor'), 'name');
    const isConnection = (name === 'TCP' || name === 'Pipe') && field(handle, 'pendingHandle') === undefined;
    return isConnection && typeof fd === 'number' && fd >= 0 && !isListening(fd);
  }).length;
}

/** Whether a handle is on its way to the parent: Node queues what comes after it until the parent has it. */
export function isPassingHandleUp(): boolean {
  return Array.isArray(field(process, '_handleQueue'));
}

/** The server whose protocol the socket speaks: http sets it, on the TLS socket too, also where another server accepted it. */
export function serverOf(socket: net.Socket): unknown {
  return field(socket, 'server');
}

/** The sockets of an http or https server's connections. Empty for others. */
export function httpSockets(server: net.Server): readonly unknown[] {
  return parsersOf(server, 'all').map((parser) => field(parser, 'socket'));
}

/** The TCP socket under a TLS socket. */
export function socketBelow(socket: net.Socket): unknown {
  return field(socket, '_parent');
}

/** Whether another socket speaks TLS over this one: it defines `reading` on the handle. */
export function isUnderTls(socket: net.Socket): boolean {
  const handle = field(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return false;
  return Object.getOwnPropertyDescriptor(handle, 'reading')?.get !== undefined;
}

/** The parsers of an http or https server that are in the middle of a request: begun, and not read to its end. Empty for others. */
export function parsersMidRequest(server: net.Server): ReadonlySet<unknown> {
  return new Set(parsersOf(server, 'active'));
}

/** The parser of an HTTP/1.1 connection; undefined once it was upgraded, or has become a tunnel. */
export function parserOn(socket: net.Socket): unknown {
  return field(socket, 'parser') ?? undefined;
}

/** The 'end' listeners of http: in the middle of a body they emit an error to the program. */
export function endListenersOfHttp(socket: net.Socket): readonly (() => void)[] {
  const listeners = socket
    .listeners('end')
    .filter((listener): listener is () => void => typeof listener === 'function');
  return listeners.filter(({ name }) => name === 'bound socketOnEnd');
}

/** The request that an HTTP/1.1 connection has read last, as long as it, or its response, is not done with. */
export function lastReadOn(socket: net.Socket): unknown {
  return field(parserOn(socket), 'incoming') ?? undefined;
}

/** The response that an HTTP/1.1 connection has not finished: http keeps it in `_httpMessage`. */
export function responseOn(socket: net.Socket): unknown {
  return field(socket, '_httpMessage') ?? undefined;
}

/** The head of a response as it was sent; empty before. */
export function headOf(response: http.ServerResponse): string {
  const head = field(response, '_header');
  return typeof head === 'string' ? head : '';
}

/**
 * Throws away what a socket reads from now on. Node takes data that comes on a destroyed stream for an error number, and ends
 * the process; it does the same itself when it closes the handle.
 */
export function discardReads(socket: net.Socket): void {
  const handle = field(socket, '_handle');
  if (handle !== null && typeof handle === 'object') Reflect.set(handle, 'onread', () => {});
}

/**
 * Calls back, in place of the stream, when a socket reads the peer's end or an error: Node's handle calls without
 * bytes then. (A socket with a buffer of its own, net's `onread`, would do so for data, too; a server accepts none.) A call with
 * bytes goes to the stream. False where the socket has no such handle.
 */
export function onEndOfReads(socket: net.Socket, callback: () => void): boolean {
  const handle = field(socket, '_handle');
  const onRead = field(handle, 'onread');
  if (typeof handle !== 'object' || handle === null || typeof onRead !== 'function') return false;
  return Reflect.set(handle, 'onread', function readOrEnd(this: unknown, ...args: unknown[]): unknown {
    return args[0] === undefined ? callback() : Reflect.apply(onRead, this, args);
  });
}

/** Stops a socket's handle from reading; returns an undo function. Node itself may start it again. */
export function pauseReads(socket: net.Socket): () => void {
  const handle = field(socket, '_handle');
  const call = (name: string): void => {
    const method = field(handle, name);
    // A handle that is closed has no descriptor, and no use for a call.
    if (typeof method === 'function' && field(socket, '_handle') === handle) Reflect.apply(method, handle, []);
  };
  call('readStop');
  return () => call('readStart');
}

/** Has http keep to itself what it would write to a socket: it asks whether that is `writable`, which can be set. */
export function keepHttpFromWriting(socket: net.Socket): void {
  Reflect.set(socket, 'writable', false);
}

/** How many bytes libuv still has to give to the kernel for a TCP or Unix socket; 0 where that cannot be known. */
export function writeQueueSize(socket: net.Socket): number {
  const size = field(field(socket, '_handle'), 'writeQueueSize');
  return typeof size === 'number' ? size : 0;
}

/** Bytes that were written to a socket and that the stream has not given to libuv yet. */
export function undispatchedBytes(socket: net.Socket): number {
  const given = field(field(socket, '_handle'), 'bytesWritten');
  return typeof given === 'number' ? Math.max(0, socket.bytesWritten - given) : socket.writableLength;
}

/** The handles of this thread that keep it alive, accepted connections among them; those that were unref'd are not. */
export function activeHandles(): readonly unknown[] {
  if (isBun) return rememberedSockets();
  const list = field(process, '_getActiveHandles');
  const handles: unknown = typeof list === 'function' ? list.call(process) : [];
  return Array.isArray(handles) ? handles : [];
}

/** How many closes hold a server's 'close' event; a server that listens again may be in two. */
interface HeldCloseEvent {
  holds: number;
  readonly replaced: Replacement;
}

const closeEventsHeld = new WeakMap<net.Server, HeldCloseEvent>();

/**
 * Holds a server's 'close' event back; returns an undo function. Node emits it from `_emitCloseIfDrained`, called when the
 * listener or the last connection closes; where there is no such method nothing is held back.
 */
export function holdCloseEvent(server: net.Server): () => void {
  const name = '_emitCloseIfDrained';
  if (typeof field(server, name) !== 'function') return () => {};
  const held = closeEventsHeld.get(server) ?? replaceCloseEvent(server, name);
  closeEventsHeld.set(server, held);
  held.holds += 1;
  return () => {
    held.holds -= 1;
    if (held.holds > 0) return;
    closeEventsHeld.delete(server);
    held.replaced.undo();
    held.replaced.original(server, []);
  };
}

function replaceCloseEvent(server: net.Server, name: string): HeldCloseEvent {
  const held: HeldCloseEvent = {
    holds: 0,
    replaced: replaceMethod(server, name, (original) => () => {
      if (held.holds === 0) original(server, []);
    }),
  };
  return held;
}

/** http keeps a server's parsers in a list, under a symbol, and in it those that are in the middle of a request apart. */
function parsersOf(server: net.Server, which: 'all' | 'active'): readonly unknown[] {
  const symbol = Object.getOwnPropertySymbols(server).find(
    ({ description }) => description === 'http.server.connections',
  );
  const list: unknown = symbol === undefined ? undefined : Reflect.get(server, symbol);
  const read = field(list, which);
  const parsers: unknown = typeof read === 'function' ? read.call(list) : [];
  return Array.isArray(parsers) ? parsers : [];
}

/** Adds to the stack of an unhandled 'error' event where it was emitted, as Node's own last message does. */
export function addEmitter(error: Error): void {
  const symbols = Object.getOwnPropertySymbols(error);
  const symbol = symbols.find(({ description }) => description === 'kEnhanceStackBeforeInspector');
  const enhance: unknown = symbol === undefined ? undefined : Reflect.get(error, symbol);
  const stack: unknown = typeof enhance === 'function' ? Reflect.apply(enhance, undefined, []) : undefined;
  if (typeof stack === 'string') error.stack = stack;
}

/** A field of whatever it is; undefined where there is none. */
export function field(owner: unknown, name: string): unknown {
  const hasFields = (typeof owner === 'object' && owner !== null) || typeof owner === 'function';
  return hasFields ? Reflect.get(owner, name) : undefined;
}
