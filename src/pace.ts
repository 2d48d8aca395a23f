/** What is asked for again and again may take one part of this many of the time. */
const SHARE = 20;

/**
 * How long to pause after a look that took `took` ms, so that all looks together take at most a twentieth of the time; `least` at
 * the least.
 */
export function pauseAfter(took: number, least = 0): number {
  return Math.max(least, took * (SHARE - 1));
}

/** Keeps looks that are repeated to a twentieth of the time. Several that share it share that twentieth. */
export class Pace {
  #nextAt = Number.NEGATIVE_INFINITY;

  /** In how many ms the next look may come; 0 for now. */
  get wait(): number {
    return Math.max(0, this.#nextAt - performance.now());
  }

  /** Looks, and notes what it has cost. A look that comes before its time delays the next one by so much more. */
  measure<T>(look: () => T): T {
    const began = performance.now();
    const used = process.cpuUsage();
    try {
      return look();
    } finally {
      const { user, system } = process.cpuUsage(used);
      // On a busy machine the processor may have been with others during the look: that costs this process nothing.
      this.note(Math.min(performance.now() - began, (user + system) / 1_000));
    }
  }

  /** Notes a look that took `took` ms. */
  note(took: number): void {
    this.#nextAt = Math.max(this.#nextAt, performance.now()) + pauseAfter(took);
  }
}
