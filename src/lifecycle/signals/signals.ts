import { isMainThread } from 'node:worker_threads';
import type { HeldListeners } from './held-listeners.ts';

/** A terminal and a process group may each pass the same signal on: what comes sooner than this is the first one's. */
const SECOND_AFTER = 500;

/** What is told of signals. */
export interface SignalObserver {
  onFirst(signal: NodeJS.Signals): void;
  /** Somebody does not want to wait. */
  onSecond(): void;
}

/** Listens for the signals that stop a service, while it is armed. In a worker thread there are none (Node's worker_threads). */
export class StopSignals {
  readonly #names: readonly NodeJS.Signals[];
  readonly #observer: SignalObserver;
  readonly #held: HeldListeners | undefined;
  #firstAt: number | undefined;
  #isArmed = false;

  /** `held`: the program's own listeners, where they are to wait. */
  constructor(names: readonly NodeJS.Signals[], observer: SignalObserver, held: HeldListeners | undefined) {
    this.#names = names;
    this.#observer = observer;
    this.#held = held;
  }

  /** From now on the signals do not end the process. Before listeners of the program's, one of which may exit. */
  arm(): void {
    if (this.#isArmed || !isMainThread) return;
    this.#isArmed = true;
    if (this.#held === undefined) for (const name of this.#names) process.prependListener(name, this.#onSignal);
    else this.#held.arm(this.#onSignal);
  }

  /** The signals do again what they did before. */
  disarm(): void {
    if (!this.#isArmed) return;
    this.#isArmed = false;
    for (const name of this.#names) process.off(name, this.#onSignal);
    this.#held?.disarm();
  }

  readonly #onSignal = (name: NodeJS.Signals): void => {
    const now = performance.now();
    if (this.#firstAt === undefined) {
      this.#firstAt = now;
      this.#observer.onFirst(name);
    } else if (now - this.#firstAt >= SECOND_AFTER) {
      this.#observer.onSecond();
    }
  };
}
