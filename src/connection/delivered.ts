import type net from 'node:net';
import { TCP_CLOSE, TCP_CLOSING, TCP_FIN_WAIT1, TCP_LAST_ACK } from '../linux/constants.ts';
import { loadLibc } from '../linux/libc.ts';
import { unacknowledgedBytes } from '../linux/sockets.ts';
import { connectionState, sendingSegmentSize } from '../linux/tcp-info.ts';
import { descriptorOf, discardReads, isTcp, undispatchedBytes, writeQueueSize } from '../node/fields.ts';
import { programSocket } from './tls/sockets.ts';

// How often to ask the kernel whether the peer has acknowledged everything, in milliseconds. There is no event for it.
const ASK_EVERY = 5;

/** In these states our FIN is not acknowledged; the kernel counts it as a byte (tcp_send_fin, net/ipv4/tcp_output.c). */
const FIN_UNACKNOWLEDGED: ReadonlySet<number> = new Set([TCP_FIN_WAIT1, TCP_CLOSING, TCP_LAST_ACK]);

/** Bytes sent that the peer has not acknowledged, those still in the program included; 0 where nobody can tell. */
export function unacknowledged(socket: net.Socket): number {
  const { bytes, state } = askKernel(socket);
  const isFinAmongThem = bytes > 0 && state !== undefined && FIN_UNACKNOWLEDGED.has(state);
  return unsent(socket) + bytes - (isFinAmongThem ? 1 : 0);
}

/** Bytes that have not got into the kernel. (`writableLength` counts a chunk that is being written as a whole.) */
export function unsent(socket: net.Socket): number {
  return undispatchedBytes(programSocket(socket)) + writeQueueSize(socket);
}

/** How many bytes a peer may have received, and not acknowledged yet; 0 where nobody can tell. */
export function delayedAcknowledgement(socket: net.Socket): number {
  const fd = descriptorOf(socket);
  if (fd === undefined || !loadLibc().available || !isTcp(socket)) return 0;
  try {
    return 2 * sendingSegmentSize(fd);
  } catch {
    return 0;
  }
}

/** Whether the peer has acknowledged everything, our FIN included. */
function isDelivered(socket: net.Socket): boolean {
  return writeQueueSize(socket) === 0 && askKernel(socket).bytes === 0;
}

function askKernel(socket: net.Socket): { readonly bytes: number; readonly state: number | undefined } {
  const fd = descriptorOf(socket);
  if (fd === undefined || !loadLibc().available) return { bytes: 0, state: undefined };
  try {
    const bytes = unacknowledgedBytes(fd);
    return { bytes, state: bytes > 0 && isTcp(socket) ? connectionState(fd) : undefined };
  } catch {
    return { bytes: 0, state: undefined };
  }
}

/** A connection that is watched over. */
export interface Watched {
  readonly socket: net.Socket;
  /** Everything was acknowledged when its end began, and nothing was written since: all that is left is our FIN. */
  readonly isDelivered: boolean;
  /** Whether our FIN was sent, past Node or by it. */
  readonly hasEnded: boolean;
  /** How many of the last bytes sent are a protocol's farewell. */
  readonly farewellBytes: number;
  /** Hears how much was lost where the peer has reset the connection. */
  noteReset(unacknowledged: number): void;
}

/**
 * Holds connections open that Node would close, until the peer has acknowledged everything (SIOCOUTQ, tcp(7)): once the
 * descriptor is closed nobody can tell any more, and where the process's network goes with it, as a container's does, what
 * is not delivered is lost.
 */
export class DeliveryWatch {
  readonly #watchedOn: (socket: net.Socket) => Watched | undefined;
  /** What sockets had in the place of the prototype's, as wrappers have. */
  readonly #theirs = new WeakMap<net.Socket, net.Socket['_destroy']>();
  /** The bytes of each close_notify that was sent. */
  readonly #closeNotify = new WeakMap<net.Socket, number>();
  readonly #held = new Map<Watched, () => void>();
  readonly #over: AbortSignal;
  /** In place of a socket's own; one for all. */
  readonly #destroy: net.Socket['_destroy'];
  #timer: NodeJS.Timeout | undefined;

  /** `watchedOn` tells who is on a connection, as long as it is not ended. */
  constructor(watchedOn: (socket: net.Socket) => Watched | undefined, over: AbortSignal) {
    this.#watchedOn = watchedOn;
    this.#over = over;
    over.addEventListener('abort', () => this.#closeAll());
    const beforeDestroy = this.#beforeDestroy.bind(this);
    this.#destroy = function destroyWhenDelivered(this: net.Socket, error, callback): void {
      beforeDestroy(this, error, callback);
    };
  }

  /**
   * Watches over one connection. What a reset has lost counts but for the farewell: who goes without hearing that has lost
   * nothing.
   */
  watch(socket: net.Socket): void {
    if (Object.hasOwn(socket, '_destroy')) this.#theirs.set(socket, socket._destroy);
    socket._destroy = this.#destroy;
  }

  /** Tells close_notify from what the program has written: call it for the socket that the program has. */
  watchFinal(program: net.Socket, transport: net.Socket): void {
    if (program === transport) return;
    const { _final } = program;
    program._final = (callback): void => {
      program._final = _final;
      const before = transport.bytesWritten;
      Reflect.apply(_final, program, [callback]);
      this.#closeNotify.set(transport, transport.bytesWritten - before);
    };
  }

  #beforeDestroy(socket: net.Socket, error: Error | null, callback: (error?: Error | null) => void): void {
    const watched = this.#watchedOn(socket);
    const destroy = this.#theirs.get(socket) ?? Object.getPrototypeOf(socket)._destroy;
    const close = (): void => Reflect.apply(destroy, socket, [error, callback]);
    if (watched === undefined) {
      close();
      return;
    }
    if (isReset(error)) this.#noteReset(watched);
    // After an error nothing will be acknowledged any more.
    const isOver = (error ?? undefined) !== undefined || this.#over.aborted;
    if (isOver || watched.isDelivered || isDelivered(socket)) close();
    else this.#hold(watched, close);
  }

  #hold(watched: Watched, close: () => void): void {
    discardReads(watched.socket);
    this.#held.set(watched, close);
    this.#timer ??= setInterval(() => this.#lookAtHeld(), ASK_EVERY);
  }

  #lookAtHeld(): void {
    for (const [watched, close] of this.#held) {
      const isGone = askKernel(watched.socket).state === TCP_CLOSE;
      if (isGone) this.#noteReset(watched);
      if (!isGone && !isDelivered(watched.socket)) continue;
      this.#held.delete(watched);
      close();
    }
    if (this.#held.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #noteReset(watched: Watched): void {
    const { socket, farewellBytes } = watched;
    const program = programSocket(socket);
    const sent = unsent(socket) + askKernel(socket).bytes;
    // FIN counts as one.
    const end = (this.#closeNotify.get(socket) ?? 0) + (watched.hasEnded || program.writableEnded ? 1 : 0);
    const lost = sent - end - farewellBytes;
    if (lost > 0) watched.noteReset(lost);
  }

  #closeAll(): void {
    clearInterval(this.#timer);
    const held = [...this.#held.values()];
    this.#held.clear();
    for (const close of held) close();
  }
}

function isReset(error: (Error & { readonly code?: string }) | null): boolean {
  return error?.code === 'ECONNRESET' || error?.code === 'EPIPE' || error?.code === 'ETIMEDOUT';
}
