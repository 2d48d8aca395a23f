import type net from 'node:net';
import { answerClose } from '../listener/close-listener.ts';
import { holdCloseEvent } from '../node/fields.ts';

/** A server whose `close` is taken over, by as many stops as have it. */
interface TakenOver {
  users: number;
  isCalled: boolean;
  hasTold: boolean;
  isDrained: boolean;
  /** Lets its 'close' event go, where it is held. */
  release: () => void;
  readonly giveBack: () => void;
}

const takenOver = new WeakMap<net.Server, TakenOver>();

/**
 * The program's own calls of `server.close` during a stop. Node's would reset who is queued, and after the drain it would say
 * ERR_SERVER_NOT_RUNNING. So a call waits for the drain, and calls back as that of an idle server does: without an error.
 * Outside a stop `close` is as it was.
 */
export class CloseCalls {
  readonly #servers = new Set<net.Server>();
  readonly #over: AbortSignal;

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
    this.#servers.add(server);
    const taken = takenOver.get(server) ?? takeClose(server, holdEvent);
    taken.users += 1;
    this.#over.addEventListener('abort', () => {
      taken.users -= 1;
      if (taken.users === 0) taken.giveBack();
    });
  }

  /** Whoever has called hears of it now, and whoever calls from now on at once. */
  noteDrained(): void {
    for (const server of this.#servers) {
      const taken = takenOver.get(server);
      if (taken === undefined) continue;
      taken.isDrained = true;
      if (taken.isCalled) letGo(taken);
    }
  }
}

function takeClose(server: net.Server, holdEvent: boolean): TakenOver {
  const noteTold = (): void => {
    taken.hasTold = true;
  };
  const taken: TakenOver = {
    users: 0,
    isCalled: false,
    hasTold: false,
    isDrained: false,
    release: holdEvent ? holdCloseEvent(server) : () => {},
    giveBack: () => {
      takenOver.delete(server);
      server.off('close', noteTold);
      giveBack();
      letGo(taken);
    },
  };
  takenOver.set(server, taken);
  server.once('close', noteTold);
  const giveBack = answerClose(server, (callback) => answer(server, taken, callback));
  return taken;
}

function answer(server: net.Server, taken: TakenOver, callback: unknown): net.Server {
  taken.isCalled = true;
  if (typeof callback === 'function') {
    const call = (): unknown => Reflect.apply(callback, server, []);
    if (taken.hasTold) process.nextTick(call);
    else server.once('close', call);
  }
  if (taken.isDrained) letGo(taken);
  return server;
}

function letGo(taken: TakenOver): void {
  taken.release();
  taken.release = () => {};
}
