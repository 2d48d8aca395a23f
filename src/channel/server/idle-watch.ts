import type { Clock } from '../wire/transport.ts';

/** Finds out that a connection has had no request for too long. */
export class IdleWatch {
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #isBusy: () => boolean;
  readonly #onIdle: () => void;
  #idleSince: number;
  #stopTimer: (() => void) | undefined;

  /** `limit` in milliseconds, 0 for none. */
  constructor(clock: Clock, limit: number, isBusy: () => boolean, onIdle: () => void) {
    this.#clock = clock;
    this.#limit = limit;
    this.#isBusy = isBusy;
    this.#onIdle = onIdle;
    this.#idleSince = clock.now();
  }

  start(): void {
    if (this.#limit === 0) return;
    const left = this.#isBusy() ? this.#limit : this.#idleSince + this.#limit - this.#clock.now();
    if (left <= 0) this.#onIdle();
    else this.#stopTimer = this.#clock.after(left, () => this.start());
  }

  /** The last request under way was answered. */
  noteIdle(): void {
    if (this.#limit > 0) this.#idleSince = this.#clock.now();
  }

  stop(): void {
    this.#stopTimer?.();
  }
}
