import type { CookieCounters } from '../linux/tables/tcp-counters.ts';

/** What was counted at some time: the host's SYN cookies, and what this listener's full queue had turned away. */
export interface CookieSample {
  /** By the clock of performance.now(). */
  readonly at: number;
  /** Undefined where the counters cannot be read. */
  readonly cookies: CookieCounters | undefined;
  readonly drops: number;
}

/**
 * How long a cookie is good for, in milliseconds: the kernel takes none that is older (TCP_SYNCOOKIE_VALID,
 * include/net/tcp.h).
 */
export const COOKIE_LIFETIME = 120_000;

/** The samples of one listener, as far as a close still asks for them. */
export class CookieSamples {
  #samples: readonly CookieSample[] = [];

  /** Adds the newest one. */
  add(sample: CookieSample): void {
    const before = this.before(sample.at);
    this.#samples = [...this.#samples.filter(({ at }) => before === undefined || at >= before.at), sample];
  }

  /**
   * The sample that all cookies are younger than that can still come back `now`: the last one of before their lifetime, or
   * the first, if the listener is younger than that. So a flood of long ago holds no close up.
   */
  before(now: number): CookieSample | undefined {
    return this.#samples.findLast(({ at }) => at <= now - COOKIE_LIFETIME) ?? this.#samples[0];
  }

  /** When the full queue began to turn clients away, at the earliest, within the time of `before(now)`. */
  overflowedAfter(now: number): number | undefined {
    const first = this.before(now);
    const since = this.#samples.filter(({ at }) => first !== undefined && at >= first.at);
    return since.findLast(({ drops }) => drops === first?.drops)?.at;
  }
}
