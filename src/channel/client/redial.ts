import type { Clock } from '../wire/transport.ts';

// The first wait after all addresses were tried in vain; it doubles up to the last. In milliseconds.
const FIRST_WAIT = 20;
const LAST_WAIT = 1_000;

// A timer's own limit (2^31 - 1 ms): a longer one would be over at once.
const LONGEST_WAIT = 2_147_483_647;

/** Which address to try next, and when. */
export class Redial<Address> {
  readonly #addresses: readonly Address[];
  readonly #clock: Clock;
  readonly #random: () => number;
  /** When each may be tried again, on the clock. */
  readonly #notBefore: number[];
  #next = 0;
  #failures = 0;

  constructor(addresses: readonly Address[], clock: Clock, random: () => number) {
    this.#addresses = addresses;
    this.#clock = clock;
    this.#random = random;
    this.#notBefore = addresses.map(() => Number.NEGATIVE_INFINITY);
  }

  /** The address to try, and in how many milliseconds. */
  next(): { readonly address: Address; readonly wait: number } {
    const now = this.#clock.now();
    // From the next one on, the one that may be tried first.
    const order = this.#addresses.map((_, index) => (this.#next + index) % this.#addresses.length);
    const waits = order.map((index) => Math.max(0, (this.#notBefore[index] ?? 0) - now));
    const shortest = Math.min(...waits);
    const chosen = order[waits.indexOf(shortest)] ?? 0;
    this.#next = chosen;
    return { address: this.#addresses[chosen] as Address, wait: Math.max(shortest, this.#backOff()) };
  }

  /** Whether nothing has failed since one has served. */
  get isAtEase(): boolean {
    return this.#failures === 0;
  }

  /** The address that was tried last serves. */
  noteServed(): void {
    this.#failures = 0;
  }

  /** The address that was tried last is not to be had: the next one. */
  noteFailed(): void {
    this.#failures += 1;
    this.#next = (this.#next + 1) % this.#addresses.length;
  }

  /** It wants to be left alone for so long: the next one. Where it has served nothing it was tried in vain. */
  noteLeft(retryAfter: number, hasServed: boolean): void {
    if (!hasServed) this.#failures += 1;
    this.#notBefore[this.#next] = this.#clock.now() + Math.min(retryAfter, LONGEST_WAIT);
    this.#next = (this.#next + 1) % this.#addresses.length;
  }

  /** Each address at once, then all again after a while; no two clients at the same time. */
  #backOff(): number {
    const rounds = Math.floor(this.#failures / this.#addresses.length);
    if (rounds === 0) return 0;
    return Math.min(LAST_WAIT, FIRST_WAIT * 2 ** (rounds - 1)) * (0.5 + this.#random() / 2);
  }
}
