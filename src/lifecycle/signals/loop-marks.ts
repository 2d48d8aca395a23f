/** How often it is noted that the event loop turns, in ms: about 5 µs of work each time. */
const MARK_EVERY = 500;

/** A turn of the event loop. */
interface Mark {
  /** By the clock of `performance.now()`. */
  readonly at: number;
  /** How long the loop had waited for events until then, in ms. */
  readonly idle: number;
}

/**
 * Notes that the event loop turns. A signal reaches JavaScript only at the next turn, and the kernel does not keep the time at which
 * it came. A loop that waits hears of it at once: so it came since the loop last waited.
 */
export class LoopMarks {
  #marks: readonly Mark[] = [];
  #timer: NodeJS.Timeout | undefined;

  begin(): void {
    this.#mark();
    this.#timer ??= setInterval(() => this.#mark(), MARK_EVERY).unref();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#marks = [];
  }

  /**
   * How long ago a signal that is heard now may have come, in ms: as long as the loop has been busy, too long by the time between two
   * marks at the most. 0 where the runtime does not count how long the loop has waited.
   */
  busyFor(): number {
    const now = takeMark();
    if (now.idle === 0) return 0;
    // The last mark may be of the turn in which the signal is heard: timers come first.
    const since = this.#marks.findLast(({ idle }) => idle < now.idle) ?? this.#marks[0];
    return since === undefined ? 0 : Math.max(0, now.at - since.at - (now.idle - since.idle));
  }

  #mark(): void {
    this.#marks = [...this.#marks.slice(-1), takeMark()];
  }
}

function takeMark(): Mark {
  // Bun does not count it: with no idle time nothing is known.
  const idle = 'eventLoopUtilization' in performance ? performance.eventLoopUtilization().idle : 0;
  return { at: performance.now(), idle };
}
