import { END, FRAME, NOTHING } from '../wire/frames.ts';
import type { FrameWriter } from '../wire/frame-writer.ts';
import { isObject } from '../../option-checks.ts';
import { SendWindow } from './windows.ts';

/** Bytes, or chunks of them for what is long or not known yet. */
export type Payload = Uint8Array | AsyncIterable<Uint8Array>;

/** What a payload that goes out needs of its connection. */
export interface OutgoingHost {
  readonly writer: FrameWriter;
  /** Bytes that the other side takes in a frame. */
  readonly maxFrame: number;
  /** What may be sent on the whole connection. */
  readonly window: SendWindow;
  /** More of it can be sent than when it was asked the last time. */
  sendMore(): void;
}

/** What is left of a payload after its first frame: the other side's credit is waited for, or the program's next chunk. */
export class OutgoingPayload {
  readonly window: SendWindow;
  readonly #id: number;
  readonly #host: OutgoingHost;
  readonly #chunks: AsyncIterator<Uint8Array> | undefined;
  readonly #onOver: (error?: unknown) => void;
  #rest: Uint8Array;
  #isPulling = false;
  #hasEnded: boolean;
  #isOver = false;

  /**
   * `credit`: bytes that the first frame has left of what the other side granted. `onOver` is called once: when the last
   * frame has been handed over, or with what the program's chunks have thrown.
   */
  constructor(id: number, payload: Payload, host: OutgoingHost, credit: number, onOver: (error?: unknown) => void) {
    this.#id = id;
    this.#host = host;
    this.#onOver = onOver;
    this.window = new SendWindow(credit);
    const isBytes = payload instanceof Uint8Array;
    this.#rest = isBytes ? payload : NOTHING;
    this.#hasEnded = isBytes;
    this.#chunks = isBytes ? undefined : iterate(payload);
    if (!isBytes) this.#pull();
  }

  /** Whether it was given whole, and not as chunks. */
  get isWhole(): boolean {
    return this.#chunks === undefined;
  }

  /** Bytes of a payload that was given whole, and that have not gone. */
  get waiting(): number {
    return this.isWhole ? this.#rest.length : 0;
  }

  /** Sends one frame if it can; false: not now. */
  sendOne(): boolean {
    if (this.#isOver) return false;
    const room = Math.min(this.window.left, this.#host.window.left, this.#host.maxFrame);
    const length = Math.min(this.#rest.length, room);
    const isLast = this.#hasEnded && length === this.#rest.length;
    if (length === 0 && !isLast) return false;
    const chunk = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    this.window.take(length);
    this.#host.window.take(length);
    this.#host.writer.add(FRAME.data, isLast ? END : 0, this.#id, chunk);
    if (isLast) this.#finish();
    else if (this.#rest.length === 0) this.#pull();
    return true;
  }

  /** Nothing more of it is sent: the program's chunks are not asked for any more. */
  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    void leave(this.#chunks);
  }

  #pull(): void {
    if (this.#chunks === undefined || this.#hasEnded || this.#isPulling) return;
    this.#isPulling = true;
    nextOf(this.#chunks).then(
      (chunk) => {
        this.#isPulling = false;
        if (this.#isOver) return;
        this.#hasEnded = chunk === undefined;
        this.#rest = chunk ?? NOTHING;
        if (this.#rest.length === 0 && !this.#hasEnded) this.#pull();
        else this.#host.sendMore();
      },
      (error: unknown) => this.#finish(error ?? new Error('The chunks threw nothing')),
    );
  }

  #finish(error?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onOver(error);
  }
}

/** What throws when it is asked for its chunks does so as if at the first. */
function iterate(payload: AsyncIterable<Uint8Array>): AsyncIterator<Uint8Array> {
  try {
    const chunks: unknown = payload[Symbol.asyncIterator]();
    if (isObject(chunks)) return chunks as unknown as AsyncIterator<Uint8Array>;
    throw new TypeError(`Expected an iterator of chunks, got ${typeof chunks}`);
  } catch (error) {
    return { next: () => Promise.reject(error) };
  }
}

/** The next chunk, undefined at their end. It rejects also where the iterator is none, or gives what is no chunk. */
async function nextOf(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
  const result: unknown = await chunks.next();
  if (!isObject(result)) throw new TypeError(`Expected the result of an iterator, got ${typeof result}`);
  const { done, value }: { readonly done?: unknown; readonly value?: unknown } = result;
  if (done === true) return undefined;
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`Expected chunks of bytes, got ${typeof value}`);
}

/** What the program throws at its own end is nobody's any more. */
async function leave(chunks: AsyncIterator<Uint8Array> | undefined): Promise<void> {
  try {
    await chunks?.return?.();
  } catch {}
}
