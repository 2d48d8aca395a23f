/** Decides which packets of one direction are lost: by share and seed alone, so that the n-th packet's fate is always the same. */
export class Loss {
  readonly #share: number;
  #state: number;

  constructor(share: number, seed: number) {
    this.#share = share;
    this.#state = seed;
  }

  get isPossible(): boolean {
    return this.#share > 0;
  }

  /** Whether the next packet is lost. */
  takesNext(): boolean {
    return this.#random() < this.#share;
  }

  // mulberry32: small, and even enough for losing packets.
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
