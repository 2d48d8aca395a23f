// Pieces from this size on are kept as they are. Smaller ones are copied together. In bytes.
const WHOLE = 4_096;

// The largest block for small pieces, in bytes. The first has the size of `WHOLE`.
const LARGEST = 65_536;

/** Bytes that wait to be read, in pieces. Small pieces are copied together, because each object costs more than a hundred bytes. */
export class ByteBlocks {
  #blocks: Uint8Array[] = [];
  /** The last block, if small pieces go into it, and how many of its bytes are in use. */
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

  /** Takes the first block. */
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

  /** All bytes, as one array. */
  join(): Uint8Array {
    this.#close();
    return Buffer.concat(this.#blocks.slice(this.#first));
  }

  /** Ends the last block. */
  #close(): void {
    if (this.#open === undefined) return;
    this.#blocks[this.#blocks.length - 1] = this.#open.subarray(0, this.#used);
    this.#open = undefined;
  }
}
