import { forManyListeners } from '../node/abort.ts';
import type { CompleteLastCallOptions } from './options.ts';

/** What comes after the drain gets a tenth of all, and not more than this; in milliseconds. */
const HOOKS_AT_MOST = 2_000;
const HOOKS_SHARE = 10;
/** Where there is nothing to come: for the report itself, a twentieth, and not more than this. */
const REPORT_AT_MOST = 100;
const REPORT_SHARE = 20;
/** The lame duck leaves at least half to those who are connected. */
const LAME_DUCK_SHARE = 2;
/** What is left for the hooks when somebody wants an end now. */
const HOOKS_NOW = 1_000;

/**
 * The time of one stop, from the signal to the exit: one budget, in milliseconds, and what of it each part may use. It can
 * be shortened, never extended. Its timer keeps the process alive: a stop is not over before its report is out.
 */
export class Budget {
  readonly #began = performance.now();
  readonly #kept: number;
  readonly #lameDuckUntil: number;
  #endsAt: number;
  readonly #soon = forManyListeners();
  readonly #now = forManyListeners();
  readonly #over = forManyListeners();
  readonly #ended = forManyListeners();
  #drainTimer: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout;

  /** `hasHooks`: something of the program's runs after the drain. */
  constructor(deadline: number, hasHooks: boolean) {
    this.#endsAt = this.#began + deadline;
    this.#kept = hasHooks
      ? Math.min(HOOKS_AT_MOST, deadline / HOOKS_SHARE)
      : Math.min(REPORT_AT_MOST, deadline / REPORT_SHARE);
    this.#lameDuckUntil = this.#began + deadline / LAME_DUCK_SHARE;
    this.#timer = setTimeout(() => this.#over.abort(), deadline);
  }

  /** What is left of it all. */
  get left(): number {
    return Math.max(0, this.#endsAt - performance.now());
  }

  /** What the lame duck may use from now on, of the time that it was given. */
  lameDuck({ lameDuck }: Pick<CompleteLastCallOptions, 'lameDuck'>): number {
    return Math.max(0, Math.min(this.#began + lameDuck, this.#lameDuckUntil) - performance.now());
  }

  /** What a hook before the drain may use from now on. */
  get beforeDrain(): number {
    return Math.max(0, this.#lameDuckUntil - performance.now());
  }

  /** What the drain may use from now on: what comes after it has a share of its own. */
  get drain(): number {
    return Math.max(0, this.left - this.#kept);
  }

  /** Aborted when the lame duck has to end at once. */
  get soon(): AbortSignal {
    return this.#soon.signal;
  }

  /** Aborted when the drain has to end earlier than was said when it began. */
  get now(): AbortSignal {
    return this.#now.signal;
  }

  /** Aborted when nothing is left. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Aborted when the stop is over. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Skips the lame duck, and lets everything take so long at most. */
  shorten(most: number): void {
    this.#soon.abort();
    this.#limit(most);
    clearTimeout(this.#drainTimer);
    this.#drainTimer = setTimeout(() => this.#now.abort(), this.drain);
  }

  /** The drain ends now, and what comes after it gets a second. */
  endNow(): void {
    this.#soon.abort();
    this.#now.abort();
    this.#limit(HOOKS_NOW);
  }

  /** Whoever waits for the end from now on does not keep the process alive. */
  letGo(): void {
    this.#timer.unref();
    this.#drainTimer?.unref();
  }

  /** The stop is over. */
  end(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#drainTimer);
    this.#ended.abort();
  }

  #limit(most: number): void {
    const endsAt = performance.now() + most;
    if (endsAt >= this.#endsAt) return;
    this.#endsAt = endsAt;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#over.abort(), most);
  }
}
