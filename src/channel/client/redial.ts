import type { Clock } from '../wire/transport.ts';
import type { ChannelAddress } from './options.ts';

// The wait after all addresses have failed once. It doubles each time, up to the last. In milliseconds.
const FIRST_WAIT = 20;
const LAST_WAIT = 1_000;

// The limit of setTimeout (2^31 - 1 ms). A longer timer would fire at once.
const LONGEST_WAIT = 2_147_483_647;

/** Which address to dial next, and when. */
export class Redial {
  readonly #addresses: readonly ChannelAddress[];
  readonly #clock: Clock;
  readonly #random: () => number;
  /** When each address may be dialled again. */
  readonly #notBefore: number[];
  #next = 0;
  #failures = 0;

  constructor(addresses: readonly ChannelAddress[], clock: Clock, random: () => number) {
    this.#addresses = addresses;
    this.#clock = clock;
    this.#random = random;
    this.#notBefore = addresses.map(() => Number.NEGATIVE_INFINITY);
  }

  /** The address to dial, and in how many milliseconds. */
  next(): { readonly address: ChannelAddress; readonly wait: number } {
    const now = this.#clock.now();
    // The first address from the next one on that may be dialled soonest.
    const order = this.#addresses.map((_, index) => (this.#next + index) % this.#addresses.length);
    const waits = order.map((index) => Math.max(0, (this.#notBefore[index] ?? 0) - now));
    const shortest = Math.min(...waits);
    this.#next = order[waits.indexOf(shortest)] ?? 0;
    return { address: this.#addresses[this.#next] as ChannelAddress, wait: Math.max(shortest, this.#backOff()) };
  }

  /** Whether nothing has failed since a server answered. */
  get hasNoFailures(): boolean {
    return this.#failures === 0;
  }

  /** The server at the last address has answered a request. */
  noteServed(): void {
    this.#failures = 0;
  }

  /** The last address cannot be reached. */
  noteFailed(): void {
    this.#failures += 1;
    this.#skip();
  }

  /** The server at the last address has sent us away for `retryAfter` ms. That is a failure where it had answered nothing. */
  noteLeft(retryAfter: number, hasServed: boolean): void {
    if (!hasServed) this.#failures += 1;
    this.#notBefore[this.#next] = this.#clock.now() + Math.min(retryAfter, LONGEST_WAIT);
    this.#skip();
  }

  #skip(): void {
    this.#next = (this.#next + 1) % this.#addresses.length;
  }

  /** No wait in the first round of all addresses. Later ones wait a random time, so that clients do not come back together. */
  #backOff(): number {
    const rounds = Math.floor(this.#failures / this.#addresses.length);
    if (rounds === 0) return 0;
    return Math.min(LAST_WAIT, FIRST_WAIT * 2 ** (rounds - 1)) * (0.5 + this.#random() / 2);
  }
}
