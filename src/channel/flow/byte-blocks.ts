// A piece of at least this is kept as it is; smaller ones are put together. In bytes.
const WHOLE = 4_096;

// The largest block that small pieces are put together in, in bytes; the first is as large as `WHOLE`.
const LARGEST = 65_536;

/** Bytes that wait to be read, in pieces. Small ones are put together: each costs a hundred bytes and more by itself. */
export class ByteBlocks {
  #blocks: Uint8Array[] = [];
  /** What small pieces go into, and how much of it is in use; it is the last of the blocks. */
  #open: Uint8Array | undefined;
  #used = 0;
  #first = 0;

  get isEmpty(): boolean {
    return this.#first === this.#blocks.length;
  }

  push(piece: Uint8Array): void {
    if (piece.length >= WHOLE) {
      this.#close();
      this.#blocks.push(piece);
      return;
    }
    let open = this.#open;
    if (open === undefined || open.length - this.#used < piece.length) {
      const size = Math.min(LARGEST, Math.max(WHOLE, 2 * (open?.length ?? 0)));
      this.#close();
      open = Buffer.allocUnsafeSlow(size);
      this.#open = open;
      this.#used = 0;
      this.#blocks.push(open);
    }
    open.set(piece, this.#used);
    this.#used += piece.length;
  }

  /** The first piece, whatever it was put together from. */
  shift(): Uint8Array | undefined {
    if (this.isEmpty) return undefined;
    if (this.#first === this.#blocks.length - 1) this.#close();
    const block = this.#blocks[this.#first];
    this.#first += 1;
    if (this.isEmpty) {
      this.#blocks = [];
      this.#first = 0;
    }
    return block;
  }

  /** All of it, as one. */
  join(): Uint8Array {
    this.#close();
    return Buffer.concat(this.#blocks.slice(this.#first));
  }

  /** Nothing more is put into the last block. */
  #close(): void {
    if (this.#open === undefined) return;
    this.#blocks[this.#blocks.length - 1] = this.#open.subarray(0, this.#used);
    this.#open = undefined;
  }
}
