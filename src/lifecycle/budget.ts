import { forManyListeners } from '../node/abort.ts';

/** Kept for what comes after the drain, if anything does: a tenth of the deadline, and at most this, in ms. */
const HOOKS_AT_MOST = 2_000;
const HOOKS_SHARE = 10;
/** Kept for the report alone: a twentieth of the deadline, and at most this, in ms. */
const REPORT_AT_MOST = 100;
const REPORT_SHARE = 20;
/** The lame duck leaves at least half of the deadline to the drain. */
const LAME_DUCK_SHARE = 2;
/** However long ago the signal came: a stop that it asks for gets a tenth of the deadline at least. */
const LEFT_AT_LEAST = 10;
/** Left for the hooks after a second signal, in ms. */
const HOOKS_NOW = 1_000;

/**
 * The time of one stop, from the signal to the exit, and the part of it that each step may use. All times are in ms. It can be
 * shortened, never extended. Its timer keeps the process alive until the report is out.
 */
export class Budget {
  readonly #began = performance.now();
  readonly #keptForHooks: number;
  readonly #lameDuckUntil: number;
  #endsAt: number;
  readonly #skipLameDuck = forManyListeners();
  readonly #cutDrain = forManyListeners();
  readonly #timeUp = forManyListeners();
  readonly #ended = forManyListeners();
  #drainTimer: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout;

  /** `hasHooks`: code of the program runs after the drain. `askedBefore`: how long ago the signal came, in ms. */
  constructor(deadline: number, hasHooks: boolean, askedBefore = 0) {
    const left = Math.max(deadline - askedBefore, deadline / LEFT_AT_LEAST);
    this.#endsAt = this.#began + left;
    this.#keptForHooks = hasHooks
      ? Math.min(HOOKS_AT_MOST, deadline / HOOKS_SHARE)
      : Math.min(REPORT_AT_MOST, deadline / REPORT_SHARE);
    this.#lameDuckUntil = this.#endsAt - deadline / LAME_DUCK_SHARE;
    this.#timer = setTimeout(() => this.#timeUp.abort(), left);
  }

  /** Left of the whole. */
  get left(): number {
    return Math.max(0, this.#endsAt - performance.now());
  }

  /** Left for a lame duck of this length, which began with the stop. */
  forLameDuck(lameDuck: number): number {
    return Math.max(0, Math.min(this.#began + lameDuck, this.#lameDuckUntil) - performance.now());
  }

  /** Left for a hook before the drain. */
  get forFirstHook(): number {
    return Math.max(0, this.#lameDuckUntil - performance.now());
  }

  /** Left for the drain: the steps after it keep their own share. */
  get forDrain(): number {
    return Math.max(0, this.left - this.#keptForHooks);
  }

  /** Left for work that goes on after the hooks: only the report comes after it. */
  get forLastWork(): number {
    return Math.max(0, this.left - REPORT_AT_MOST);
  }

  /** Aborted when the lame duck has to end at once. */
  get skipLameDuck(): AbortSignal {
    return this.#skipLameDuck.signal;
  }

  /** Aborted when the drain has to end earlier than planned when it began. */
  get cutDrain(): AbortSignal {
    return this.#cutDrain.signal;
  }

  /** Aborted when nothing is left. */
  get timeUp(): AbortSignal {
    return this.#timeUp.signal;
  }

  /** Aborted when the stop has ended: what it has set up is undone. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Skips the lame duck, and limits the rest to `most`. */
  shorten(most: number): void {
    this.#skipLameDuck.abort();
    this.#limit(most);
    clearTimeout(this.#drainTimer);
    this.#drainTimer = setTimeout(() => this.#cutDrain.abort(), this.forDrain);
  }

  /** Ends the drain at once. The hooks get one more second. */
  endNow(): void {
    this.#skipLameDuck.abort();
    this.#cutDrain.abort();
    this.#limit(HOOKS_NOW);
  }

  /** From now on its timers do not keep the process alive. */
  unref(): void {
    this.#timer.unref();
    this.#drainTimer?.unref();
  }

  /** The stop has ended. */
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
    this.#timer = setTimeout(() => this.#timeUp.abort(), most);
  }
}
