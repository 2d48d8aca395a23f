import type { Clock } from '../wire/transport.ts';
import type { ClientRequest } from './request.ts';
import type { RequestQueue } from './request-queue.ts';

/** Finds requests that have waited for too long while no server could be reached. */
export class GiveUpTimer {
  readonly #giveUpAfter: number;
  readonly #clock: Clock;
  readonly #queue: RequestQueue;
  readonly #onTime: () => void;
  /** Since when no server could be reached. */
  #unreachableSince: number | undefined;
  #stopTimer: (() => void) | undefined;

  /** `giveUpAfter` in milliseconds. `onTime`: called when a request may have waited that long. Call `start` again for the others. */
  constructor(giveUpAfter: number, clock: Clock, queue: RequestQueue, onTime: () => void) {
    this.#giveUpAfter = giveUpAfter;
    this.#clock = clock;
    this.#queue = queue;
    this.#onTime = onTime;
  }

  /** Whether a server is, or may be, within reach. */
  get isReachable(): boolean {
    return this.#unreachableSince === undefined;
  }

  /** A server was reached. */
  noteReached(): void {
    this.#unreachableSince = undefined;
  }

  /** Requests wait, and none can be sent. */
  start(): void {
    this.#unreachableSince ??= this.#clock.now();
    if (this.#stopTimer !== undefined) return;
    const since = Math.max(this.#unreachableSince, this.#queue.waitingSince);
    this.#stopTimer = this.#clock.after(since + this.#giveUpAfter - this.#clock.now(), () => {
      this.#stopTimer = undefined;
      this.#onTime();
    });
  }

  /** Removes the requests from the queue that have waited for too long. A server that was reached restarts their time. */
  takeOverdue(): readonly ClientRequest[] {
    const latest = this.#clock.now() - this.#giveUpAfter;
    if (this.#unreachableSince === undefined || this.#unreachableSince > latest) return [];
    return this.#queue.takeWaitingSince(latest);
  }

  stop(): void {
    this.#stopTimer?.();
  }
}
