import type { ConnectionEnder } from '../connection/end-connections.ts';
import { LastCallError } from '../errors.ts';
import { countQueued } from '../listener/count-queues.ts';
import { countHalfOpen } from '../listener/half-open.ts';
import type { Listener } from '../listener/listener.ts';
import type { CloseClock } from './clock.ts';
import type { CloseProgress } from './report.ts';

// At most 10 times a second.
const TELL_EVERY = 100;

/** Tells the caller where a close is. What the callback throws, or rejects with, goes to `onError`, and it is called on. */
export class ProgressTeller {
  readonly #onProgress: ((progress: CloseProgress) => void) | undefined;
  readonly #clock: CloseClock;
  readonly #connections: ConnectionEnder;
  readonly #listeners: readonly Listener[];
  readonly #onError: (error: LastCallError) => void;
  #phase: CloseProgress['phase'] = 'draining queues';
  #hasThrown = false;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(
    onProgress: ((progress: CloseProgress) => void) | undefined,
    clock: CloseClock,
    connections: ConnectionEnder,
    listeners: readonly Listener[],
    onError: (error: LastCallError) => void,
  ) {
    this.#onProgress = onProgress;
    this.#clock = clock;
    this.#connections = connections;
    this.#listeners = listeners;
    this.#onError = onError;
    if (onProgress === undefined) return;
    const timer = setInterval(() => this.tell(), TELL_EVERY);
    clock.over.addEventListener('abort', () => clearInterval(timer));
    this.tell();
  }

  enter(phase: CloseProgress['phase']): void {
    this.#phase = phase;
    this.tell();
  }

  /** Tells, unless it did less than a tenth of a second ago. */
  tell(): void {
    const elapsed = this.#clock.elapsed();
    if (this.#onProgress === undefined || elapsed - this.#toldAt < TELL_EVERY) return;
    this.#toldAt = elapsed;
    const report = (cause: unknown): void => {
      // It may throw each time: once says it.
      if (!this.#hasThrown) this.#onError(new LastCallError('ERR_CALLBACK', '`onProgress` threw', { cause }));
      this.#hasThrown = true;
    };
    try {
      // Not waited for; but an async function that throws must not end the program.
      const returned: unknown = this.#onProgress(this.#state(elapsed));
      if (returned instanceof Promise) returned.catch(report);
    } catch (cause) {
      report(cause);
    }
  }

  #state(elapsed: number): CloseProgress {
    const open = this.#listeners.filter(({ server }) => server.listening);
    const sum = (count: (listener: Listener) => number): number =>
      open.reduce((total, listener) => total + count(listener), 0);
    return {
      phase: this.#phase,
      elapsed,
      queued: sum((listener) => countQueued(listener) ?? 0),
      halfOpen: sum((listener) => countHalfOpen(listener, performance.now() - TELL_EVERY)),
      open: this.#connections.open,
      ended: this.#connections.ended,
    };
  }
}
