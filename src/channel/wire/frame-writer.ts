import { HEADER_LENGTH, NOTHING } from './frames.ts';
import type { Transport } from './transport.ts';

// Payloads up to this are copied behind their heads, so that many frames are one write. In bytes.
const COPIED = 4_096;

// What is allocated at a time for heads and copied payloads, in bytes.
const SLAB = 32 * 1024;

/** Puts frames together, and writes all that were made in one turn of the loop at once. */
export class FrameWriter {
  readonly #transport: Transport;
  #slab: Buffer = Buffer.allocUnsafeSlow(HEADER_LENGTH + COPIED);
  /** Where in the slab what is not written yet begins, and ends. */
  #from = 0;
  #to = 0;
  #chunks: Uint8Array[] = [];
  #isPlanned = false;
  #isOver = false;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Adds a frame; `prefix` are the first bytes of its payload. It is written at `flush`, or by the end of this turn. */
  add(kind: number, flags: number, id: number, payload: Uint8Array = NOTHING, prefix: Uint8Array = NOTHING): void {
    if (this.#isOver) return;
    const length = prefix.length + payload.length;
    const isCopied = payload.length <= COPIED;
    const slab = this.#roomFor(HEADER_LENGTH + prefix.length + (isCopied ? payload.length : 0));
    let at = this.#to;
    // By hand: Buffer's own writers check each time what is known here, and this is the hottest path there is.
    slab[at++] = length >>> 24;
    slab[at++] = length >>> 16;
    slab[at++] = length >>> 8;
    slab[at++] = length;
    slab[at++] = kind;
    slab[at++] = flags;
    slab[at++] = id >>> 24;
    slab[at++] = id >>> 16;
    slab[at++] = id >>> 8;
    slab[at++] = id;
    if (prefix.length > 0) {
      slab.set(prefix, at);
      at += prefix.length;
    }
    if (isCopied) {
      slab.set(payload, at);
      this.#to = at + payload.length;
    } else {
      this.#to = at;
      this.#closePart();
      this.#chunks.push(payload);
    }
    this.#plan();
  }

  /** Writes what there is. */
  flush(): void {
    if (this.#isOver) return;
    this.#closePart();
    if (this.#chunks.length === 0) return;
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#transport.write(chunks);
  }

  /** Nothing is written any more. */
  end(): void {
    this.flush();
    this.#isOver = true;
  }

  #roomFor(bytes: number): Buffer {
    if (this.#to + bytes > this.#slab.length) {
      this.#closePart();
      // The first one is small: most connections say little at a time.
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB, bytes));
      this.#from = 0;
      this.#to = 0;
    }
    return this.#slab;
  }

  #closePart(): void {
    if (this.#to > this.#from) this.#chunks.push(this.#slab.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }

  /** After the microtasks of this turn: whatever they answer, or ask, goes with it. */
  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    process.nextTick(() => {
      this.#isPlanned = false;
      this.flush();
    });
  }
}
