import { forManyListeners } from '../node/abort.ts';
import type { CompleteCloseOptions } from './options.ts';
import type { CutReason } from './report.ts';

/** The time of one close: when it began, when it must be over, and whether it is. Holds its only long timer. */
export class CloseClock {
  readonly #began = performance.now();
  /** When the deadline is, on the clock of `performance.now()`. */
  readonly endsAt: number;
  readonly #deadline = forManyListeners();
  readonly #over = forManyListeners();
  readonly #timer: NodeJS.Timeout;
  readonly #following: AbortSignal | undefined;
  #reason: CutReason = 'deadline';

  constructor({ deadline, signal }: Pick<CompleteCloseOptions, 'deadline' | 'signal'>) {
    this.endsAt = this.#began + deadline;
    this.#timer = setTimeout(() => this.#deadline.abort(), deadline);
    if (signal === undefined) return;
    if (signal.aborted) this.#abort();
    // One of our own that follows it: the caller's may be given to many closes, and Node 20 warns of many listeners.
    this.#following = AbortSignal.any([signal]);
    this.#following.addEventListener('abort', () => this.#abort(), { signal: this.#over.signal, once: true });
  }

  /** Aborted when the time is up: at the deadline, or when the caller aborts. */
  get deadline(): AbortSignal {
    return this.#deadline.signal;
  }

  /** Aborted when the close is over, so that everything it has set up goes. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Why what is left is cut. */
  get reason(): CutReason {
    return this.#reason;
  }

  /** Milliseconds since the close began. */
  elapsed(): number {
    return performance.now() - this.#began;
  }

  /** Resolves when the time is up. */
  async timeIsUp(): Promise<void> {
    if (this.#deadline.signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#deadline.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /** The close is over. */
  end(): void {
    clearTimeout(this.#timer);
    this.#over.abort();
  }

  #abort(): void {
    this.#reason = 'aborted';
    this.#deadline.abort();
  }
}
