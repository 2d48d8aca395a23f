import type { Close } from '../close/close.ts';
import type { CloseProgress } from '../close/report.ts';
import type { Connections } from '../connection/connections.ts';
import { countQueued } from '../listener/count-queues.ts';
import { countHalfOpen, mayCountHalfOpen } from '../listener/half-open.ts';
import type { Listener } from '../listener/listener.ts';

// In ms: at most 10 times a second.
const PUBLISH_EVERY = 100;

/** Walking all sockets of the host takes long where there are many: meanwhile the last count stands. */
function latestHalfOpen(listener: Listener): number {
  const since = performance.now() - PUBLISH_EVERY;
  return countHalfOpen(listener, mayCountHalfOpen(listener, since) ? since : Number.NEGATIVE_INFINITY);
}

/** Calls the `onProgress` option. What it throws, or rejects with, is in the report; it is called on. */
export class Progress {
  readonly #close: Close;
  readonly #connections: Connections;
  readonly #listeners: readonly Listener[];
  #phase: CloseProgress['phase'] = 'draining queues';
  #hasThrown = false;
  #publishedAt = Number.NEGATIVE_INFINITY;

  constructor(close: Close, connections: Connections, listeners: readonly Listener[]) {
    this.#close = close;
    this.#connections = connections;
    this.#listeners = listeners;
    if (close.options.onProgress === undefined) return;
    const timer = setInterval(() => this.publish(), PUBLISH_EVERY);
    close.clock.over.addEventListener('abort', () => clearInterval(timer));
    this.publish();
  }

  enter(phase: CloseProgress['phase']): void {
    this.#phase = phase;
    this.publish();
  }

  /** Does nothing less than a tenth of a second after the last time. */
  publish(): void {
    const { onProgress } = this.#close.options;
    const elapsed = this.#close.clock.elapsed();
    if (onProgress === undefined || elapsed - this.#publishedAt < PUBLISH_EVERY) return;
    this.#publishedAt = elapsed;
    try {
      // Not waited for; but an async function that throws must not end the program.
      const returned: unknown = onProgress(this.#state(elapsed));
      if (returned instanceof Promise) returned.catch((cause: unknown) => this.#noteThrown(cause));
    } catch (cause) {
      this.#noteThrown(cause);
    }
  }

  /** It may throw each time, and is reported once. */
  #noteThrown(cause: unknown): void {
    if (!this.#hasThrown) this.#close.noteThrown('onProgress', cause);
    this.#hasThrown = true;
  }

  #state(elapsed: number): CloseProgress {
    const open = this.#listeners.filter(({ server }) => server?.listening);
    const sum = (count: (listener: Listener) => number): number =>
      open.reduce((total, listener) => total + count(listener), 0);
    return {
      phase: this.#phase,
      elapsed,
      queued: sum((listener) => countQueued(listener) ?? 0),
      halfOpen: sum(latestHalfOpen),
      open: this.#connections.open,
      ended: this.#close.accounts.ended,
    };
  }
}
