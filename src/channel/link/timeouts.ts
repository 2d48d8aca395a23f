import type { Clock } from '../wire/transport.ts';
import type { LinkSettings } from './limits.ts';

/** The connection that is watched. */
interface Watched {
  readonly hasHello: () => boolean;
  readonly isWithinFrame: () => boolean;
  /** How many frames have come. */
  readonly frames: () => number;
  /** Whether nothing is read, so that the rest of a frame cannot come. */
  readonly isPaused: () => boolean;
  /** Bytes that wait for a peer that does not read, while nothing is read from it. */
  readonly unsent: () => number;
  readonly ping: () => void;
  readonly onTimeout: (text: string) => void;
}

// The pause between two looks is a quarter of the shortest wait, within these bounds, in milliseconds.
const SHORTEST_PAUSE = 10;
const LONGEST_PAUSE = 5_000;

/** Finds out that a peer has been silent for too long, at most a quarter of the shortest wait late. */
export class Timeouts {
  readonly #clock: Clock;
  readonly #settings: LinkSettings;
  readonly #watched: Watched;
  readonly #pause: number;
  readonly #startedAt: number;
  #receivedAt: number;
  #pingedAt: number | undefined;
  /** A frame that had come in part at the last look: its number, and since when. */
  #partial: { readonly frame: number; readonly since: number } | undefined;
  #unsent = 0;
  #stopTimer: () => void;

  constructor(clock: Clock, settings: LinkSettings, watched: Watched) {
    this.#clock = clock;
    this.#settings = settings;
    this.#watched = watched;
    const { helloWait, frameWait, pingAfter, pingWait } = settings;
    const shortest = Math.min(...[helloWait, frameWait, pingAfter, pingWait].filter(Boolean));
    this.#pause = Math.max(SHORTEST_PAUSE, Math.min(LONGEST_PAUSE, shortest / 4));
    this.#startedAt = clock.now();
    this.#receivedAt = this.#startedAt;
    this.#stopTimer = clock.after(this.#pause, () => this.#look());
  }

  noteReceived(): void {
    this.#receivedAt = this.#clock.now();
    this.#pingedAt = undefined;
  }

  stop(): void {
    this.#stopTimer();
  }

  #look(): void {
    this.#stopTimer = this.#clock.after(this.#pause, () => this.#look());
    const now = this.#clock.now();
    const { helloWait, frameWait, pingAfter } = this.#settings;
    const hasHello = this.#watched.hasHello();
    if (!hasHello && helloWait > 0 && now - this.#startedAt >= helloWait) {
      return this.#watched.onTimeout(`No HELLO came within ${helloWait} ms`);
    }
    const frame = this.#watched.frames();
    if (!this.#watched.isWithinFrame() || this.#watched.isPaused()) this.#partial = undefined;
    else if (this.#partial?.frame !== frame) this.#partial = { frame, since: now };
    if (this.#partial !== undefined && frameWait > 0 && now - this.#partial.since >= frameWait) {
      return this.#watched.onTimeout(`A frame was not complete within ${frameWait} ms`);
    }
    if (pingAfter > 0 && hasHello) this.#checkSignOfLife(now);
  }

  #checkSignOfLife(now: number): void {
    const { pingAfter, pingWait } = this.#settings;
    // A slow reader takes bytes from time to time. That is its sign of life.
    const unsent = this.#watched.unsent();
    if (unsent > 0 && unsent !== this.#unsent) this.noteReceived();
    this.#unsent = unsent;
    const silence = now - this.#receivedAt;
    if (this.#pingedAt !== undefined && now - this.#pingedAt >= pingWait) {
      this.#watched.onTimeout(`Nothing came for ${Math.round(silence)} ms, and a PING was not answered`);
    } else if (this.#pingedAt === undefined && silence >= pingAfter) {
      this.#pingedAt = now;
      this.#watched.ping();
    }
  }
}
