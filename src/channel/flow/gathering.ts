/** A payload that is read whole, while it comes. */
export interface Gathered {
  readonly id: number;
  /** Grants the other side credit for it, in bytes. */
  readonly allow: (bytes: number) => void;
  /** Bytes that came within its first window. */
  early: number;
  /** Bytes beyond that, for which it was granted credit. */
  allowed: number;
  /** Bytes for which it waits to be granted credit. */
  waiting: number;
}

/**
 * Limits what the payloads of one connection that are read whole hold together. The oldest one always gets credit, so that one of
 * them ends and makes room for the next. The others hold at most `most` bytes together: half in their first windows, half beyond.
 * A payload that needs more waits. A first window cannot wait, because it is granted before the payload begins: a server refuses
 * the payload that is too much. A client refuses none, because it asked for each itself.
 */
export class Gathering {
  readonly #half: number;
  readonly #refuses: boolean;
  readonly #mayBeEcho: (id: number) => boolean;
  /** The oldest first. */
  readonly #all = new Set<Gathered>();
  readonly #waiting = new Set<Gathered>();
  #early = 0;
  #allowed = 0;

  /**
   * `refuses`: whether first windows can be too much. `mayBeEcho`: whether our own payload with this id is unsent. The other side
   * may send back what we send, as an echo does: if such a payload waited for credit, both sides could wait for each other for
   * ever. So it never waits, and never counts as the oldest.
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

  /** Bytes of its first window have come. False where they are too much. */
  hold(one: Gathered, bytes: number): boolean {
    const oldest = this.#oldest;
    if (this.#refuses && one !== oldest && this.#early - (oldest?.early ?? 0) + bytes > this.#half) return false;
    one.early += bytes;
    this.#early += bytes;
    return true;
  }

  /** Grants it credit, as soon as there is room. */
  ask(one: Gathered, bytes: number): void {
    one.waiting += bytes;
    this.#waiting.add(one);
    this.#serve(one);
  }

  /** The payload has ended, or nobody wants the rest. */
  end(one: Gathered): void {
    this.#all.delete(one);
    this.#early -= one.early;
    this.#allowed -= one.allowed;
    this.#waiting.delete(one);
    if (one.waiting > 0) one.allow(one.waiting);
    for (const next of this.#waiting) this.#serve(next);
  }

  get #oldest(): Gathered | undefined {
    for (const one of this.#all) if (!this.#mayBeEcho(one.id)) return one;
    return undefined;
  }

  #serve(one: Gathered): void {
    const { waiting } = one;
    const oldest = this.#oldest;
    const fits = this.#allowed - (oldest?.allowed ?? 0) + waiting <= this.#half;
    if (one !== oldest && !fits && !this.#mayBeEcho(one.id)) return;
    one.waiting = 0;
    this.#waiting.delete(one);
    one.allowed += waiting;
    this.#allowed += waiting;
    one.allow(waiting);
  }
}
