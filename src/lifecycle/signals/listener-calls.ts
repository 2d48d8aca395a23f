import { constants } from 'node:os';
import { type EarlyCall, earlyCallsOf } from './early-calls.ts';
import { bareListener, type Listener } from './ours.ts';
import { describeListener } from './listener-names.ts';

/**
 * Calls of the program's listeners of a signal. A promise that a listener returns says when its work is done. A listener that
 * returns nothing says nothing of it, nor does a promise that is settled already: an `async` function that has awaited nothing.
 */
export class ListenerCalls {
  readonly #signals = new Set<NodeJS.Signals>();
  readonly #open = new Map<object, string>();
  readonly #silent: string[] = [];
  readonly #done: Promise<void>[] = [];
  readonly began: number = performance.now();

  /** Calls the listeners of a signal, once for each signal. */
  plan(signal: NodeJS.Signals, listeners: readonly Listener[]): void {
    if (this.#signals.has(signal)) return;
    this.#signals.add(signal);
    const early = earlyCallsOf(signal);
    for (const call of early) this.#adopt(signal, call);
    const called = new Set(early.map(({ listener }) => listener));
    for (const listener of listeners) if (!called.has(bareListener(listener))) this.#plan(signal, listener);
  }

  /** It was called at the signal. It is waited for like the others. */
  #adopt(signal: NodeJS.Signals, { listener, returned, isSettled }: EarlyCall): void {
    const described = `${describeListener(listener)} of ${signal}`;
    if (!isThenable(returned)) return void this.#silent.push(described);
    if (isSettled) return;
    const call = {};
    this.#open.set(call, described);
    const done = this.#follow(returned, described).catch(() => {});
    this.#done.push(done.then(() => void this.#open.delete(call)));
  }

  /** In a turn of its own: an error that it throws is uncaught, and does not stop the others. */
  #plan(signal: NodeJS.Signals, listener: Listener): void {
    const call = {};
    const described = `${describeListener(listener)} of ${signal}`;
    this.#open.set(call, described);
    const done = new Promise<void>((resolve) => {
      setImmediate(() => {
        let isCalled = false;
        try {
          const returned: unknown = Reflect.apply(listener, process, [signal, constants.signals[signal]]);
          isCalled = true;
          void this.#follow(returned, described).finally(resolve);
        } finally {
          if (!isCalled) resolve();
        }
      });
    });
    this.#done.push(done.then(() => void this.#open.delete(call)));
  }

  /** Resolves when every promise that a listener has returned is settled. */
  async settled(): Promise<void> {
    await Promise.all(this.#done);
  }

  /** Whose promises are not settled. */
  get open(): readonly string[] {
    return [...this.#open.values()];
  }

  /** Who has said nothing of its work. */
  get silent(): readonly string[] {
    return this.#silent;
  }

  /** What a listener rejects with is unhandled, as it is without lastcall. */
  async #follow(returned: unknown, described: string): Promise<void> {
    if (!isThenable(returned) || (await isSettled(returned))) this.#silent.push(described);
    await returned;
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof Object(value).then === 'function';
}

async function isSettled(promise: PromiseLike<unknown>): Promise<boolean> {
  const notYet = {};
  try {
    return (await Promise.race([promise, Promise.resolve(notYet)])) !== notYet;
  } catch {
    return true;
  }
}
