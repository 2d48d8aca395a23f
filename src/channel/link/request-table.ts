// How many slots there are at first, and at most. Powers of two.
const FIRST_SLOTS = 16;
const MOST_SLOTS = 2_048;

/**
 * The requests under way on a connection, by id. Ids rise, and most requests end soon. The last bits of an id select its slot. A
 * request that stays moves to a Map when its slot is needed. A Map alone would be slower: V8 leaves its old tables, which point to
 * the new ones, to the next full collection, so that everything that passed through it survives until then (measured: a third of
 * the requests per second, and a 99th percentile seven times as high).
 */
export class RequestTable<Value> {
  #ids: Uint32Array = new Uint32Array(FIRST_SLOTS);
  #values: (Value | undefined)[] = new Array<Value | undefined>(FIRST_SLOTS).fill(undefined);
  /** The requests whose slot was needed. */
  #stayed: Map<number, Value> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds a request. Its id is from 1 on, and not in the table. */
  add(id: number, value: Value): void {
    let slot = id & (this.#ids.length - 1);
    while (this.#ids[slot] !== 0) {
      this.#makeRoom(slot);
      slot = id & (this.#ids.length - 1);
    }
    this.#ids[slot] = id;
    this.#values[slot] = value;
    this.#size += 1;
  }

  get(id: number): Value | undefined {
    const slot = id & (this.#ids.length - 1);
    return this.#ids[slot] === id ? this.#values[slot] : this.#stayed?.get(id);
  }

  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  delete(id: number): void {
    const slot = id & (this.#ids.length - 1);
    if (this.#ids[slot] === id && id !== 0) {
      this.#ids[slot] = 0;
      this.#values[slot] = undefined;
      this.#size -= 1;
    } else if (this.#stayed?.delete(id) === true) {
      this.#size -= 1;
    }
  }

  clear(): void {
    this.#ids.fill(0);
    this.#values.fill(undefined);
    this.#stayed = undefined;
    this.#size = 0;
  }

  /** All requests, in the order of their ids. */
  entries(): readonly (readonly [id: number, value: Value])[] {
    const all: [number, Value][] = [...(this.#stayed ?? [])];
    this.#values.forEach((value, slot) => {
      if (value !== undefined) all.push([this.#ids[slot] ?? 0, value]);
    });
    return all.sort(([one], [other]) => one - other);
  }

  /** Frees a slot: doubles the table where many are under way, else moves the request to the Map. */
  #makeRoom(slot: number): void {
    if (this.#size * 2 >= this.#ids.length && this.#ids.length < MOST_SLOTS) return this.#grow();
    const [id, value] = [this.#ids[slot] ?? 0, this.#values[slot]];
    if (value !== undefined) (this.#stayed ??= new Map<number, Value>()).set(id, value);
    this.#ids[slot] = 0;
    this.#values[slot] = undefined;
  }

  /** Doubles the slots. One more bit of the id selects the slot. */
  #grow(): void {
    const [ids, values] = [this.#ids, this.#values];
    const slots = ids.length * 2;
    this.#ids = new Uint32Array(slots);
    this.#values = new Array<Value | undefined>(slots).fill(undefined);
    ids.forEach((id, slot) => {
      if (id === 0) return;
      this.#ids[id & (slots - 1)] = id;
      this.#values[id & (slots - 1)] = values[slot];
    });
  }
}
