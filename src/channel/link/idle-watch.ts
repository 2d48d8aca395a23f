import type { Clock } from '../wire/transport.ts';

/** Finds out when a connection has been without a request for too long. */
export class IdleWatch {
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #isBusy: () => boolean;
  readonly #onIdle: () => void;
  #since: number;
  #forget: (() => void) | undefined;

  /** `limit` in milliseconds, 0 for none. */
  constructor(clock: Clock, limit: number, isBusy: () => boolean, onIdle: () => void) {
    this.#clock = clock;
    this.#limit = limit;
    this.#isBusy = isBusy;
    this.#onIdle = onIdle;
    this.#since = clock.now();
  }

  begin(): void {
    if (this.#limit === 0) return;
    const left = this.#isBusy() ? this.#limit : this.#since + this.#limit - this.#clock.now();
    if (left <= 0) this.#onIdle();
    else this.#forget = this.#clock.after(left, () => this.begin());
  }

  /** The last request was answered. */
  noteIdle(): void {
    if (this.#limit > 0) this.#since = this.#clock.now();
  }

  stop(): void {
    this.#forget?.();
  }
}
