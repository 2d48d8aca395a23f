import { HEADER_LENGTH, NOTHING } from './frames.ts';

/** Called for each frame. The receiver may keep the payload. */
export type OnFrame = (kind: number, flags: number, id: number, payload: Uint8Array) => void;

/** Finds the frames in bytes that come cut anywhere. */
export class FrameReader {
  readonly #onFrame: OnFrame;
  readonly #onTooLong: (length: number) => void;
  #longest: number;
  /** The head of a frame that has come in part. */
  readonly #head: Uint8Array = new Uint8Array(HEADER_LENGTH);
  #headLength = 0;
  /** The part of its payload that has come. */
  #payload: Uint8Array | undefined;
  #payloadLength = 0;
  #isStopped = false;
  #frames = 0;

  /** `longest`: the longest payload, in bytes. A longer one calls `onTooLong`, and nothing is read after it. */
  constructor(longest: number, onFrame: OnFrame, onTooLong: (length: number) => void) {
    this.#longest = longest;
    this.#onFrame = onFrame;
    this.#onTooLong = onTooLong;
  }

  set longest(bytes: number) {
    this.#longest = bytes;
  }

  /** Whether a frame has come in part. */
  get isWithinFrame(): boolean {
    return this.#headLength > 0;
  }

  /** How many frames have come. */
  get frames(): number {
    return this.#frames;
  }

  /** Discards everything from now on. */
  stop(): void {
    this.#isStopped = true;
    this.#headLength = 0;
    this.#payload = undefined;
  }

  push(chunk: Uint8Array): void {
    let at = this.#headLength > 0 ? this.#continue(chunk) : 0;
    while (!this.#isStopped && at + HEADER_LENGTH <= chunk.length) {
      const length = word(chunk, at);
      if (length > this.#longest) return this.#refuse(length);
      const from = at + HEADER_LENGTH;
      if (from + length > chunk.length) break;
      at = from + length;
      this.#emit(chunk, from - HEADER_LENGTH, payloadOf(chunk, from, length));
    }
    if (!this.#isStopped && at < chunk.length) this.#begin(chunk, at);
  }

  /** Continues a frame that had come in part. Returns where the next one begins. */
  #continue(chunk: Uint8Array): number {
    let at = 0;
    if (this.#headLength < HEADER_LENGTH) {
      at = Math.min(chunk.length, HEADER_LENGTH - this.#headLength);
      this.#head.set(chunk.subarray(0, at), this.#headLength);
      this.#headLength += at;
      if (this.#headLength < HEADER_LENGTH || !this.#expectPayload()) return at;
    }
    const payload = this.#payload ?? NOTHING;
    const taken = Math.min(chunk.length - at, payload.length - this.#payloadLength);
    payload.set(chunk.subarray(at, at + taken), this.#payloadLength);
    this.#payloadLength += taken;
    if (this.#payloadLength === payload.length) {
      this.#headLength = 0;
      this.#payload = undefined;
      this.#emit(this.#head, 0, payload);
    }
    return at + taken;
  }

  /** Keeps the start of a frame. */
  #begin(chunk: Uint8Array, from: number): void {
    const headEnd = Math.min(chunk.length, from + HEADER_LENGTH);
    this.#head.set(chunk.subarray(from, headEnd));
    this.#headLength = headEnd - from;
    if (this.#headLength < HEADER_LENGTH || !this.#expectPayload()) return;
    this.#payload?.set(chunk.subarray(headEnd));
    this.#payloadLength = chunk.length - headEnd;
  }

  #expectPayload(): boolean {
    const length = word(this.#head, 0);
    if (length > this.#longest) {
      this.#refuse(length);
      return false;
    }
    this.#payload = Buffer.allocUnsafeSlow(length);
    this.#payloadLength = 0;
    return true;
  }

  #refuse(length: number): void {
    this.stop();
    this.#onTooLong(length);
  }

  #emit(head: Uint8Array, at: number, payload: Uint8Array): void {
    this.#frames += 1;
    this.#onFrame(head[at + 4] ?? 0, head[at + 5] ?? 0, word(head, at + 6), payload);
  }
}

function payloadOf(chunk: Uint8Array, from: number, length: number): Uint8Array {
  if (length === 0) return NOTHING;
  // A small view of a large chunk would keep the whole chunk in memory.
  return length * 2 < chunk.length
    ? Uint8Array.prototype.slice.call(chunk, from, from + length)
    : chunk.subarray(from, from + length);
}

function word(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  const low = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  return ((high << 16) | low) >>> 0;
}
