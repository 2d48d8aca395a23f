import { NOTHING } from '../wire/frames.ts';
import { iterateChunks, leaveChunks, nextChunk, type Payload } from './chunks.ts';
import { SendWindow } from './windows.ts';

/** What an outgoing payload calls. */
interface Calls {
  /** Sends one frame. */
  readonly write: (chunk: Uint8Array, isLast: boolean) => void;
  /** Called when the program's next chunk is there. */
  readonly onChunk: () => void;
  /** Called once: after the last frame was written, or with what the program's chunks threw. */
  readonly onEnd: (error?: unknown) => void;
}

/** The part of a payload after its first frame. It waits for the other side's credit, or for the program's next chunk. */
export class OutgoingPayload {
  readonly window: SendWindow;
  readonly #calls: Calls;
  readonly #chunks: AsyncIterator<Uint8Array> | undefined;
  #rest: Uint8Array;
  #isPulling = false;
  #hasAll: boolean;
  #isDone = false;

  /** `credit`: the bytes that the other side has granted beyond the first frame. */
  constructor(payload: Payload, credit: number, calls: Calls) {
    this.#calls = calls;
    this.window = new SendWindow(credit);
    const isBytes = payload instanceof Uint8Array;
    this.#rest = isBytes ? payload : NOTHING;
    this.#hasAll = isBytes;
    this.#chunks = isBytes ? undefined : iterateChunks(payload);
    this.#pull();
  }

  /** Whether the program gave it as bytes, and not as chunks. */
  get isWhole(): boolean {
    return this.#chunks === undefined;
  }

  /** The unsent bytes of a payload that was given as bytes. */
  get waiting(): number {
    return this.isWhole ? this.#rest.length : 0;
  }

  /** Sends one frame of at most `room` bytes. False where there is nothing to send, or no credit. */
  sendOne(room: number): boolean {
    if (this.#isDone) return false;
    const length = Math.min(this.#rest.length, this.window.left, room);
    const isLast = this.#hasAll && length === this.#rest.length;
    if (length === 0 && !isLast) return false;
    const chunk = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    this.window.take(length);
    this.#calls.write(chunk, isLast);
    if (isLast) this.#finish();
    else if (this.#rest.length === 0) this.#pull();
    return true;
  }

  /** Sends nothing more, and asks the program for no more chunks. */
  stop(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    void leaveChunks(this.#chunks);
  }

  #pull(): void {
    if (this.#chunks === undefined || this.#hasAll || this.#isPulling) return;
    this.#isPulling = true;
    nextChunk(this.#chunks).then(
      (chunk) => {
        this.#isPulling = false;
        if (this.#isDone) return;
        this.#hasAll = chunk === undefined;
        this.#rest = chunk ?? NOTHING;
        if (this.#rest.length === 0 && !this.#hasAll) this.#pull();
        else this.#calls.onChunk();
      },
      (error: unknown) => this.#finish(error ?? new Error('The chunks threw nothing')),
    );
  }

  #finish(error?: unknown): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#calls.onEnd(error);
  }
}
