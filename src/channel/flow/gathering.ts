/** A payload that is read whole, while it comes. */
export interface Gathered {
  readonly id: number;
  /** Lets the other side send so much more of it. */
  readonly allow: (bytes: number) => void;
  /** Bytes that have come of its first window, which was granted with the greeting. */
  early: number;
  /** Bytes that it was allowed beyond. */
  allowed: number;
  /** Bytes that it waits to be allowed. */
  waiting: number;
}

/**
 * What the payloads of one connection hold that are read whole. The one that was begun first may always come to its end; the others
 * hold no more than `most` bytes together, half of them in their first windows. What is more waits. First windows cannot wait,
 * for they were granted with the greeting: a server refuses the one that is too much. A client has asked for each itself.
 */
export class Gathering {
  readonly #half: number;
  readonly #refuses: boolean;
  readonly #mayBeEcho: (id: number) => boolean;
  /** In the order in which they were begun. */
  readonly #all = new Set<Gathered>();
  readonly #waiting = new Set<Gathered>();
  #early = 0;
  #allowed = 0;

  /**
   * `refuses`: whether first windows may be too much. `mayBeEcho`: whether what comes may depend on what goes the other way under
   * the same id, and has not gone yet: such a one never waits, or both could for ever.
   */
  constructor(most: number, refuses: boolean, mayBeEcho: (id: number) => boolean) {
    this.#half = most / 2;
    this.#refuses = refuses;
    this.#mayBeEcho = mayBeEcho;
  }

  begin(id: number, allow: (bytes: number) => void): Gathered {
    const gathered = { id, allow, early: 0, allowed: 0, waiting: 0 };
    this.#all.add(gathered);
    return gathered;
  }

  /** So much of its first window has come. False where that is too much. */
  hold(one: Gathered, bytes: number): boolean {
    const first = this.#first;
    if (this.#refuses && one !== first && this.#early - (first?.early ?? 0) + bytes > this.#half) return false;
    one.early += bytes;
    this.#early += bytes;
    return true;
  }

  /** Allows it so much more, as soon as there is room. */
  ask(one: Gathered, bytes: number): void {
    one.waiting += bytes;
    this.#waiting.add(one);
    this.#serve(one);
  }

  /** It has come to its end, or nobody wants the rest. */
  end(one: Gathered): void {
    this.#all.delete(one);
    this.#early -= one.early;
    this.#allowed -= one.allowed;
    this.#waiting.delete(one);
    if (one.waiting > 0) one.allow(one.waiting);
    for (const next of this.#waiting) this.#serve(next);
  }

  /** What depends on nothing that goes the other way: there is none where nothing waits. */
  get #first(): Gathered | undefined {
    for (const one of this.#all) if (!this.#mayBeEcho(one.id)) return one;
    return undefined;
  }

  #serve(one: Gathered): void {
    const { waiting } = one;
    const first = this.#first;
    const fits = this.#allowed - (first?.allowed ?? 0) + waiting <= this.#half;
    if (one !== first && !fits && !this.#mayBeEcho(one.id)) return;
    one.waiting = 0;
    this.#waiting.delete(one);
    one.allowed += waiting;
    this.#allowed += waiting;
    one.allow(waiting);
  }
}
