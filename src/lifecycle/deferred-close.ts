import type net from 'node:net';
import { answerClose } from '../listener/close-listener.ts';
import { holdCloseEvent } from '../node/fields.ts';

/** A server whose `close` waits. Several stops may share it. */
interface Deferral {
  users: number;
  isCalled: boolean;
  hasClosed: boolean;
  isDrained: boolean;
  /** Lets a held 'close' event go. */
  releaseEvent: () => void;
  readonly undo: () => void;
}

const deferrals = new WeakMap<net.Server, Deferral>();

/**
 * Lets the program's own calls of `server.close` wait for the drain. Node's `close` would reset the clients in the queue during
 * the drain, and would fail with ERR_SERVER_NOT_RUNNING after it. A call gets its callback after the drain, without an error.
 * When the stop has ended `close` is Node's again.
 */
export class DeferredClose {
  readonly #servers = new Set<net.Server>();
  readonly #ended: AbortSignal;

  /** `ended`: aborted when the stop has ended. */
  constructor(ended: AbortSignal) {
    this.#ended = ended;
  }

  /**
   * `holdEvent`: the program's own listeners of the signal run after the drain. They must find the server as if it still
   * listened, so 'close' is emitted only when they call `close`.
   */
  add(server: net.Server, holdEvent: boolean): void {
    if (this.#servers.has(server)) return;
    this.#servers.add(server);
    const deferral = deferrals.get(server) ?? deferClose(server, holdEvent);
    deferral.users += 1;
    this.#ended.addEventListener('abort', () => {
      deferral.users -= 1;
      if (deferral.users === 0) deferral.undo();
    });
  }

  /** The drain has ended: calls that wait get their callbacks, and later ones do not wait. */
  release(): void {
    for (const server of this.#servers) {
      const deferral = deferrals.get(server);
      if (deferral === undefined) continue;
      deferral.isDrained = true;
      if (deferral.isCalled) releaseEvent(deferral);
    }
  }
}

function deferClose(server: net.Server, holdEvent: boolean): Deferral {
  const onClose = (): void => {
    deferral.hasClosed = true;
  };
  const deferral: Deferral = {
    users: 0,
    isCalled: false,
    hasClosed: false,
    isDrained: false,
    releaseEvent: holdEvent ? holdCloseEvent(server) : () => {},
    undo: () => {
      deferrals.delete(server);
      server.off('close', onClose);
      restoreClose();
      releaseEvent(deferral);
    },
  };
  deferrals.set(server, deferral);
  server.once('close', onClose);
  const restoreClose = answerClose(server, (callback) => answer(server, deferral, callback));
  return deferral;
}

function answer(server: net.Server, deferral: Deferral, callback: unknown): net.Server {
  deferral.isCalled = true;
  if (typeof callback === 'function') {
    const call = (): unknown => Reflect.apply(callback, server, []);
    if (deferral.hasClosed) process.nextTick(call);
    else server.once('close', call);
  }
  if (deferral.isDrained) releaseEvent(deferral);
  return server;
}

function releaseEvent(deferral: Deferral): void {
  deferral.releaseEvent();
  deferral.releaseEvent = () => {};
}
