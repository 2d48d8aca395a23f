/** The type of a column: an unsigned number of 8, 16 or 32 bits. */
export type Column = 'u8' | 'u16' | 'u32';

type Values = Uint8Array | Uint16Array | Uint32Array;

/** Rows of a block: a table grows by whole blocks, so that nothing is ever copied. */
const BLOCK = 65_536;

const makers: Readonly<Record<Column, (length: number) => Values>> = {
  u8: (length) => new Uint8Array(length),
  u16: (length) => new Uint16Array(length),
  u32: (length) => new Uint32Array(length),
};

/** A table of numbers, by columns of typed arrays. */
export class Columns<Types extends Readonly<Record<string, Column>>> {
  readonly #types: Types;
  readonly #blocks: { readonly [Name in keyof Types]: Values[] };
  #length = 0;

  constructor(types: Types) {
    this.#types = types;
    const entries = Object.keys(types).map((name) => [name, []] as const);
    this.#blocks = Object.fromEntries(entries) as unknown as { readonly [Name in keyof Types]: Values[] };
  }

  get length(): number {
    return this.#length;
  }

  /** Adds a row of zeros, and returns its number. */
  add(): number {
    if (this.#length % BLOCK === 0) {
      for (const [name, type] of Object.entries(this.#types)) this.#blocks[name]?.push(makers[type](BLOCK));
    }
    this.#length += 1;
    return this.#length - 1;
  }

  get(name: keyof Types, row: number): number {
    return this.#blocks[name][Math.floor(row / BLOCK)]?.[row % BLOCK] ?? 0;
  }

  set(name: keyof Types, row: number, value: number): void {
    const block = this.#blocks[name][Math.floor(row / BLOCK)];
    if (block !== undefined) block[row % BLOCK] = value;
  }

  /** A whole column in one array. */
  column(name: keyof Types): Values {
    const type = this.#types[name];
    if (type === undefined) throw new RangeError(`There is no column ${String(name)}`);
    const whole = makers[type](this.#length);
    this.#blocks[name].forEach((block, index) => {
      const rest = this.#length - index * BLOCK;
      whole.set(rest < BLOCK ? block.subarray(0, rest) : block, index * BLOCK);
    });
    return whole;
  }
}
