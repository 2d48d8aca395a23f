import type net from 'node:net';
import { holdCloseEvent } from '../node-fields.ts';

/** What has become of a server whose `close` is taken over. */
interface TakenOver {
  isCalled: boolean;
  hasTold: boolean;
  /** Lets its 'close' event go, where it is held. */
  release: () => void;
}

/**
 * The program's own calls of `server.close` during a stop. Node's would reset who is queued, and after the drain it would say
 * ERR_SERVER_NOT_RUNNING. So a call waits for the drain, and calls back as that of an idle server does: without an error.
 * Outside a stop `close` is as it was.
 */
export class CloseCalls {
  readonly #servers = new Map<net.Server, TakenOver>();
  readonly #over: AbortSignal;
  #isDrained = false;

  /** Until `over` aborts. */
  constructor(over: AbortSignal) {
    this.#over = over;
  }

  /**
   * `holdEvent`: the program has a listener of its own for the signal, which runs after the drain and finds the server as if
   * it still listened: 'close' is emitted when it calls `close`, and not before.
   */
  takeOver(server: net.Server, holdEvent: boolean): void {
    if (this.#servers.has(server)) return;
    const taken = { isCalled: false, hasTold: false, release: holdEvent ? holdCloseEvent(server) : () => {} };
    this.#servers.set(server, taken);
    const noteTold = (): void => {
      taken.hasTold = true;
    };
    server.once('close', noteTold);
    const own = Object.getOwnPropertyDescriptor(server, 'close');
    const value = (callback?: unknown): net.Server => this.#answer(server, taken, callback);
    Object.defineProperty(server, 'close', { value, configurable: true, writable: true });
    this.#over.addEventListener('abort', () => {
      server.off('close', noteTold);
      if (own === undefined) Reflect.deleteProperty(server, 'close');
      else Object.defineProperty(server, 'close', own);
      taken.release();
    });
  }

  /** Whoever has called hears of it now, and whoever calls from now on at once. */
  noteDrained(): void {
    this.#isDrained = true;
    for (const taken of this.#servers.values()) if (taken.isCalled) this.#let(taken);
  }

  #answer(server: net.Server, taken: TakenOver, callback: unknown): net.Server {
    taken.isCalled = true;
    if (typeof callback === 'function') {
      const call = (): unknown => Reflect.apply(callback, server, []);
      if (taken.hasTold) process.nextTick(call);
      else server.once('close', call);
    }
    if (this.#isDrained) this.#let(taken);
    return server;
  }

  #let(taken: TakenOver): void {
    taken.release();
    taken.release = () => {};
  }
}
