import { HEADER_LENGTH, NOTHING } from './frames.ts';

// Payloads up to this size are copied behind their heads, so that many frames become one write. In bytes.
const COPIED = 4_096;

// The size of one allocation for heads and copied payloads, in bytes.
const SLAB = 32 * 1024;

/** Encodes frames. All frames of one turn of the event loop become one write. */
export class FrameWriter {
  readonly #write: (chunks: readonly Uint8Array[]) => void;
  #slab: Buffer = Buffer.allocUnsafeSlow(HEADER_LENGTH + COPIED);
  /** The part of the slab that is not written yet. */
  #from = 0;
  #to = 0;
  #chunks: Uint8Array[] = [];
  #isScheduled = false;
  #hasEnded = false;

  constructor(write: (chunks: readonly Uint8Array[]) => void) {
    this.#write = write;
  }

  /** Adds a frame, whose payload is `prefix` and `payload`. It is written at `flush`, or at the end of this turn. */
  add(kind: number, flags: number, id: number, payload: Uint8Array = NOTHING, prefix: Uint8Array = NOTHING): void {
    if (this.#hasEnded) return;
    const length = prefix.length + payload.length;
    const isCopied = payload.length <= COPIED;
    const slab = this.#roomFor(HEADER_LENGTH + prefix.length + (isCopied ? payload.length : 0));
    let at = this.#to;
    // Byte by byte, because Buffer's writers check their arguments each time, and this is the hottest path.
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
      this.#finishPart();
      this.#chunks.push(payload);
    }
    this.#scheduleFlush();
  }

  /** Writes everything that was added. */
  flush(): void {
    if (this.#hasEnded) return;
    this.#finishPart();
    if (this.#chunks.length === 0) return;
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#write(chunks);
  }

  /** Writes everything that was added, and nothing after it. */
  end(): void {
    this.flush();
    this.#hasEnded = true;
  }

  #roomFor(bytes: number): Buffer {
    if (this.#to + bytes > this.#slab.length) {
      this.#finishPart();
      // The first slab is small, because most connections send little at a time.
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB, bytes));
      this.#from = 0;
      this.#to = 0;
    }
    return this.#slab;
  }

  #finishPart(): void {
    if (this.#to > this.#from) this.#chunks.push(this.#slab.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }

  /** Flushes after the microtasks of this turn, so that their frames join the same write. */
  #scheduleFlush(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    process.nextTick(() => {
      this.#isScheduled = false;
      this.flush();
    });
  }
}
