import type net from 'node:net';
import { TCP_CLOSE } from '../linux/constants.ts';
import { discardReads } from '../node/fields.ts';
import { replaceMethod } from '../node/replace.ts';
import { Pace } from '../pace.ts';
import { askKernel, isDelivered, unsent } from './acknowledged.ts';
import type { ClosingConnection } from './closing-connection.ts';
import { programSocket } from './tls/sockets.ts';

// How often to ask the kernel whether the peer has acknowledged everything, in ms, at the most. There is no event for it.
const ASK_EVERY = 5;

/**
 * Holds connections open that Node would close, until the peer has acknowledged everything (SIOCOUTQ, tcp(7)). Once the
 * descriptor is closed the kernel does not show it any more; and where the process's network goes with the process, as a
 * container's does, what is not delivered is lost.
 */
export class DeliveryWatch {
  readonly #find: (socket: net.Socket) => ClosingConnection | undefined;
  readonly #onReset: (connection: ClosingConnection, lost: number) => void;
  /** What sockets had in the place of the prototype's, as wrappers have. */
  readonly #theirs = new WeakMap<net.Socket, net.Socket['_destroy']>();
  /** TLS sockets whose close_notify is counted. */
  readonly #watched = new WeakSet<net.Socket>();
  /** The bytes of each close_notify that was sent. */
  readonly #closeNotify = new WeakMap<net.Socket, number>();
  readonly #held = new Map<ClosingConnection, () => void>();
  readonly #over: AbortSignal;
  /** In place of a socket's own. One for all: ten thousand would cost as much as the rest of a close. */
  readonly #destroy: net.Socket['_destroy'];
  readonly #pace = new Pace();
  #timer: NodeJS.Timeout | undefined;

  /**
   * `find` returns the connection on a socket, as long as it has not ended. `onReset` is called where the peer has reset a
   * connection, with how many bytes were lost; those of a farewell are no loss.
   */
  constructor(
    find: (socket: net.Socket) => ClosingConnection | undefined,
    onReset: (connection: ClosingConnection, lost: number) => void,
    over: AbortSignal,
  ) {
    this.#find = find;
    this.#onReset = onReset;
    this.#over = over;
    over.addEventListener('abort', () => this.#closeAll());
    const beforeDestroy = this.#beforeDestroy.bind(this);
    this.#destroy = function destroyWhenDelivered(this: net.Socket, error, callback): void {
      beforeDestroy(this, error, callback);
    };
  }

  /** Watches over one connection. */
  watch(socket: net.Socket): void {
    if (Object.hasOwn(socket, '_destroy')) this.#theirs.set(socket, socket._destroy);
    socket._destroy = this.#destroy;
  }

  /** Counts the bytes of close_notify, which the program has not written. Call it for the socket that the program has. */
  watchFinal(program: net.Socket, transport: net.Socket): void {
    if (program === transport || this.#watched.has(program)) return;
    this.#watched.add(program);
    const replaced = replaceMethod(program, '_final', (original) => (...args) => {
      replaced.undo();
      const before = transport.bytesWritten;
      original(program, args);
      this.#closeNotify.set(transport, transport.bytesWritten - before);
    });
  }

  #beforeDestroy(socket: net.Socket, error: Error | null, callback: (error?: Error | null) => void): void {
    const connection = this.#find(socket);
    const destroy = this.#theirs.get(socket) ?? Object.getPrototypeOf(socket)._destroy;
    const close = (): void => Reflect.apply(destroy, socket, [error, callback]);
    if (connection === undefined) {
      close();
      return;
    }
    if (isReset(error)) this.#noteReset(connection);
    // After an error nothing will be acknowledged any more.
    const isOver = (error ?? undefined) !== undefined || this.#over.aborted;
    if (isOver || connection.isDelivered || isDelivered(socket)) close();
    else this.#hold(connection, close);
  }

  #hold(connection: ClosingConnection, close: () => void): void {
    discardReads(connection.socket);
    this.#held.set(connection, close);
    this.#timer ??= setTimeout(() => this.#askAgain(), ASK_EVERY);
  }

  #askAgain(): void {
    this.#pace.measure(() => this.#lookAtHeld());
    this.#timer =
      this.#held.size === 0 ? undefined : setTimeout(() => this.#askAgain(), Math.max(ASK_EVERY, this.#pace.wait));
  }

  #lookAtHeld(): void {
    for (const [connection, close] of this.#held) {
      const isGone = askKernel(connection.socket).state === TCP_CLOSE;
      if (isGone) this.#noteReset(connection);
      if (!isGone && !isDelivered(connection.socket)) continue;
      this.#held.delete(connection);
      close();
    }
  }

  #noteReset(connection: ClosingConnection): void {
    const { socket, farewellBytes } = connection;
    const program = programSocket(socket);
    const sent = unsent(socket) + askKernel(socket).bytes;
    // A FIN counts as one byte.
    const end = (this.#closeNotify.get(socket) ?? 0) + (connection.isLingering || program.writableEnded ? 1 : 0);
    const lost = sent - end - farewellBytes;
    if (lost > 0) this.#onReset(connection, lost);
  }

  #closeAll(): void {
    clearTimeout(this.#timer);
    const held = [...this.#held.values()];
    this.#held.clear();
    for (const close of held) close();
  }
}

function isReset(error: (Error & { readonly code?: string }) | null): boolean {
  return error?.code === 'ECONNRESET' || error?.code === 'EPIPE' || error?.code === 'ETIMEDOUT';
}
