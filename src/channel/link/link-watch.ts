import type { Clock } from '../wire/transport.ts';

/** How long to wait for what, in milliseconds. */
export interface LinkWaits {
  /** For the other side's HELLO. */
  readonly helloWait: number;
  /** For the rest of a frame that has begun to come. */
  readonly frameWait: number;
  /** Silence after which a PING is sent; 0: none is. */
  readonly pingAfter: number;
  /** For any sign of life after a PING. */
  readonly pingWait: number;
}

/** What is watched. */
interface Watched {
  isGreeted(): boolean;
  isWithinFrame(): boolean;
  /** How many frames have come. */
  frames(): number;
  /** Whether nothing is read: what has come of a frame may be all that could. */
  isPaused(): boolean;
  /** Bytes that wait for a peer that does not read, while nothing is read from it. */
  unsent(): number;
  ping(): void;
  timedOut(what: string): void;
}

// How often to look, in milliseconds: four times in the shortest wait, but neither much too often nor too seldom.
const LOOK_AT_MOST = 10;
const LOOK_AT_LEAST = 5_000;

/** Finds out when a peer is silent for too long: at most a quarter of the shortest wait late. */
export class LinkWatch {
  readonly #clock: Clock;
  readonly #waits: LinkWaits;
  readonly #watched: Watched;
  readonly #period: number;
  readonly #since: number;
  #heardAt: number;
  #pingedAt: number | undefined;
  /** A frame that had come in part when it was looked at: the how manieth, and since when. */
  #partial: { readonly frame: number; readonly since: number } | undefined;
  #unsent = 0;
  #forget: () => void;

  constructor(clock: Clock, waits: LinkWaits, watched: Watched) {
    this.#clock = clock;
    this.#waits = waits;
    this.#watched = watched;
    const shortest = Math.min(...[waits.helloWait, waits.frameWait, waits.pingAfter, waits.pingWait].filter(Boolean));
    this.#period = Math.max(LOOK_AT_MOST, Math.min(LOOK_AT_LEAST, shortest / 4));
    this.#since = clock.now();
    this.#heardAt = this.#since;
    this.#forget = clock.after(this.#period, () => this.#look());
  }

  noteHeard(): void {
    this.#heardAt = this.#clock.now();
    this.#pingedAt = undefined;
  }

  stop(): void {
    this.#forget();
  }

  #look(): void {
    this.#forget = this.#clock.after(this.#period, () => this.#look());
    const now = this.#clock.now();
    const { helloWait, frameWait, pingAfter, pingWait } = this.#waits;
    if (!this.#watched.isGreeted() && helloWait > 0 && now - this.#since >= helloWait) {
      return this.#watched.timedOut(`No HELLO came within ${helloWait} ms`);
    }
    const frame = this.#watched.frames();
    if (!this.#watched.isWithinFrame() || this.#watched.isPaused()) this.#partial = undefined;
    else if (this.#partial?.frame !== frame) this.#partial = { frame, since: now };
    if (this.#partial !== undefined && frameWait > 0 && now - this.#partial.since >= frameWait) {
      return this.#watched.timedOut(`A frame did not come to its end within ${frameWait} ms`);
    }
    if (pingAfter > 0 && this.#watched.isGreeted()) this.#lookForLife(now, pingAfter, pingWait);
  }

  #lookForLife(now: number, pingAfter: number, pingWait: number): void {
    // What a slow reader takes is its sign of life.
    const unsent = this.#watched.unsent();
    if (unsent > 0 && unsent !== this.#unsent) this.noteHeard();
    this.#unsent = unsent;
    if (this.#pingedAt !== undefined && now - this.#pingedAt >= pingWait) {
      return this.#watched.timedOut(
        `Nothing was heard for ${Math.round(now - this.#heardAt)} ms, and a PING was not answered`,
      );
    }
    if (this.#pingedAt === undefined && now - this.#heardAt >= pingAfter) {
      this.#pingedAt = now;
      this.#watched.ping();
    }
  }
}
