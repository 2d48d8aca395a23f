import type { ClientRequest } from './request.ts';
import type { RequestQueue } from './request-queue.ts';
import type { Clock } from '../wire/transport.ts';

/** For how long requests wait while no server can be reached. */
export class Patience {
  readonly #giveUpAfter: number;
  readonly #clock: Clock;
  readonly #queue: RequestQueue;
  readonly #onOver: () => void;
  /** Since when nothing could be reached. */
  #unreachableSince: number | undefined;
  #forget: (() => void) | undefined;

  /** `giveUpAfter`: milliseconds. `onOver` is called when one may have waited so long; `watch` again for the others. */
  constructor(giveUpAfter: number, clock: Clock, queue: RequestQueue, onOver: () => void) {
    this.#giveUpAfter = giveUpAfter;
    this.#clock = clock;
    this.#queue = queue;
    this.#onOver = onOver;
  }

  /** Whether nothing is known to be in vain. */
  get isFresh(): boolean {
    return this.#unreachableSince === undefined;
  }

  /** Whatever was in vain before is over. */
  noteReached(): void {
    this.#unreachableSince = undefined;
  }

  /** Requests wait, and none can be sent. */
  watch(): void {
    this.#unreachableSince ??= this.#clock.now();
    if (this.#forget !== undefined) return;
    const since = Math.max(this.#unreachableSince, this.#queue.waitingSince);
    this.#forget = this.#clock.after(since + this.#giveUpAfter - this.#clock.now(), () => {
      this.#forget = undefined;
      this.#onOver();
    });
  }

  /** Takes those out of the queue that have waited too long; where something was reached meanwhile all have their time again. */
  takeOverdue(): readonly ClientRequest[] {
    const latest = this.#clock.now() - this.#giveUpAfter;
    if (this.#unreachableSince === undefined || this.#unreachableSince > latest) return [];
    return this.#queue.takeWaitingSince(latest);
  }

  stop(): void {
    this.#forget?.();
  }
}
