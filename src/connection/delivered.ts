import type net from 'node:net';
import { TCP_CLOSE, TCP_CLOSING, TCP_FIN_WAIT1, TCP_LAST_ACK } from '../linux/constants.ts';
import { loadLibc } from '../linux/libc.ts';
import { unacknowledgedBytes } from '../linux/sockets.ts';
import { connectionState } from '../linux/tcp-info.ts';
import { descriptorOf, undispatchedBytes, writeQueueSize } from '../node-fields.ts';
import { programSocket } from './tls.ts';

// How often to ask the kernel whether the peer has acknowledged everything, in milliseconds. There is no event for it.
const ASK_EVERY = 5;

/** In these states our FIN is not acknowledged; the kernel counts it as a byte (tcp_send_fin, net/ipv4/tcp_output.c). */
const FIN_UNACKNOWLEDGED: ReadonlySet<number> = new Set([TCP_FIN_WAIT1, TCP_CLOSING, TCP_LAST_ACK]);

/** Bytes sent that the peer has not acknowledged, those still in the program included; 0 where nobody can tell. */
export function unacknowledged(socket: net.Socket): number {
  // (`writableLength` counts a chunk that is being written as a whole, though most of it may be in the kernel.)
  const unsent = undispatchedBytes(programSocket(socket)) + writeQueueSize(socket);
  const { bytes, state } = askKernel(socket);
  const isFinAmongThem = bytes > 0 && state !== undefined && FIN_UNACKNOWLEDGED.has(state);
  return unsent + bytes - (isFinAmongThem ? 1 : 0);
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
    return { bytes, state: bytes > 0 && socket.remoteAddress !== undefined ? connectionState(fd) : undefined };
  } catch {
    return { bytes: 0, state: undefined };
  }
}

/** A connection that is watched over. */
interface Watched {
  readonly socket: net.Socket;
  /** What ends the connection and says nothing to the program on the other side: close_notify, and FIN. */
  endBytes: number;
  /** How many of the last bytes before that are a protocol's farewell. */
  readonly farewellBytes: () => number;
  readonly onReset: (unacknowledged: number) => void;
}

/**
 * Holds connections open that Node would close, until the peer has acknowledged everything (SIOCOUTQ, tcp(7)): once the
 * descriptor is closed nobody can tell any more, and where the process's network goes with it, as a container's does, what
 * is not delivered is lost.
 */
export class DeliveryWatch {
  readonly #watched = new WeakMap<net.Socket, Watched>();
  readonly #held = new Map<Watched, () => void>();
  readonly #over: AbortSignal;
  #timer: NodeJS.Timeout | undefined;

  constructor(over: AbortSignal) {
    this.#over = over;
    over.addEventListener('abort', () => this.#closeAll());
  }

  /**
   * Watches over one connection; `onReset` hears how much was lost where the peer has reset it, but for the farewell: who
   * goes without hearing that has lost nothing.
   */
  watch(socket: net.Socket, told: Pick<Watched, 'farewellBytes' | 'onReset'>): void {
    const watched: Watched = { socket, endBytes: 0, ...told };
    this.#watched.set(socket, watched);
    const { _destroy } = socket;
    socket._destroy = (error, callback): void => {
      socket._destroy = _destroy;
      const close = (): void => Reflect.apply(_destroy, socket, [error, callback]);
      if (isReset(error)) this.#noteReset(watched);
      // After an error nothing will be acknowledged any more.
      if ((error ?? undefined) !== undefined || this.#over.aborted || isDelivered(socket)) close();
      else this.#hold(watched, close);
    };
  }

  /** Tells the bytes of the farewell from the program's: call it for the socket that the program has. */
  watchFinal(program: net.Socket, transport: net.Socket): void {
    const watched = this.#watched.get(transport);
    if (watched === undefined) return;
    const { _final } = program;
    program._final = (callback): void => {
      program._final = _final;
      const before = transport.bytesWritten;
      Reflect.apply(_final, program, [callback]);
      watched.endBytes = transport.bytesWritten - before + 1;
    };
  }

  #hold(watched: Watched, close: () => void): void {
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

  #noteReset({ socket, endBytes, farewellBytes, onReset }: Watched): void {
    const unsent = undispatchedBytes(programSocket(socket)) + writeQueueSize(socket);
    const lost = unsent + askKernel(socket).bytes - endBytes - farewellBytes();
    if (lost > 0) onReset(lost);
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
