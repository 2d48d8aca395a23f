import { SECOND_AFTER } from '../../signals.ts';
import { isMainThread } from 'node:worker_threads';
import { markOurs } from './ours.ts';
import { LoopMarks } from './loop-marks.ts';
import type { ProgramListeners } from './program-listeners.ts';
import { watchUncaught } from './uncaught.ts';

/** What a service does at a signal or an uncaught error. */
interface Reactions {
  /** `busyFor`: how long ago the signal may have come, in ms, because the event loop was busy. */
  onFirst(signal: NodeJS.Signals, busyFor: number): void;
  onSecond(): void;
  onUncaught(): void;
}

/**
 * While armed, listens for the signals that stop a service, and for uncaught errors. Worker threads get no signals (Node's
 * worker_threads), and their errors go to the parent.
 */
export class StopSignals {
  readonly #names: readonly NodeJS.Signals[];
  readonly #reactions: Reactions;
  readonly #programListeners: ProgramListeners | undefined;
  readonly #loop = new LoopMarks();
  #firstAt: number | undefined;
  #stopWatching: (() => void) | undefined;

  /** `programListeners`: the program's own listeners, if they are to wait. */
  constructor(names: readonly NodeJS.Signals[], reactions: Reactions, programListeners: ProgramListeners | undefined) {
    this.#names = names;
    this.#reactions = reactions;
    this.#programListeners = programListeners;
  }

  /** From now on the signals do not end the process. Goes before listeners of the program, one of which may exit. */
  arm(): void {
    if (this.#stopWatching !== undefined || !isMainThread) return;
    if (this.#programListeners === undefined) {
      for (const name of this.#names) process.prependListener(name, this.#onSignal);
    } else {
      this.#programListeners.hold(this.#onSignal);
    }
    this.#loop.begin();
    this.#stopWatching = watchUncaught(() => this.#reactions.onUncaught());
  }

  /** Signals and errors do again what they did before. */
  disarm(): void {
    if (this.#stopWatching === undefined) return;
    for (const name of this.#names) process.off(name, this.#onSignal);
    this.#programListeners?.letGo();
    this.#loop.end();
    this.#stopWatching();
    this.#stopWatching = undefined;
  }

  readonly #onSignal = markOurs((name: NodeJS.Signals): void => {
    const now = performance.now();
    if (this.#firstAt === undefined) {
      this.#firstAt = now;
      this.#reactions.onFirst(name, this.#loop.busyFor());
    } else if (now - this.#firstAt >= SECOND_AFTER) {
      this.#reactions.onSecond();
    }
  });
}
