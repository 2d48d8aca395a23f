import { LastCallError } from '../errors.ts';
import { NOTHING } from './frames.ts';
import { ReceiveWindow } from './windows.ts';

/** What a payload that comes in needs of its connection. */
export interface IncomingHost {
  /** Bytes that the payload of one request or reply may have on its way, or unread. */
  readonly requestCredit: number;
  /** So much more is held by payloads that are read whole and have not come to their end; false where that is too much. */
  gather(bytes: number): boolean;
  /** So much of what had come has been read. */
  consumed(bytes: number): void;
  /** The other side may send so much more of this payload. */
  grant(id: number, bytes: number): void;
}

/** Something that is told when a payload goes on. */
interface Waiting {
  readonly resolve: (result: IteratorResult<Uint8Array, undefined>) => void;
  readonly reject: (error: LastCallError) => void;
}

/** The payload of a request or a reply, as it comes in. It can be read once: whole, or chunk by chunk. */
export class IncomingPayload implements AsyncIterable<Uint8Array> {
  readonly #id: number;
  readonly #host: IncomingHost;
  readonly #chunks: Uint8Array[];
  #window: ReceiveWindow | undefined;
  #hasEnded: boolean;
  #isRead = false;
  #isDiscarded = false;
  #error: LastCallError | undefined;
  #waiting: Waiting | undefined;
  readonly #onAbandoned: (() => void) | undefined;

  /**
   * `first` is what the first frame of it has brought, all where `hasEnded`. `onAbandoned` is called where the reader leaves it
   * before its end.
   */
  constructor(id: number, first: Uint8Array, hasEnded: boolean, host: IncomingHost, onAbandoned?: () => void) {
    this.#id = id;
    this.#host = host;
    this.#onAbandoned = onAbandoned;
    this.#chunks = first.length > 0 ? [first] : [];
    this.#hasEnded = hasEnded;
    // Nobody asks for the window of what has come whole.
    if (!hasEnded) this.#window = new ReceiveWindow(host.requestCredit);
    this.#window?.take(first.length);
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** More of it has come. False where it is more than was granted. */
  push(chunk: Uint8Array, hasEnded: boolean): boolean {
    if (this.#window?.take(chunk.length) !== true) return false;
    this.#hasEnded = hasEnded;
    if (chunk.length > 0) {
      this.#chunks.push(chunk);
      if (this.#isDiscarded) this.discard();
    }
    this.#serve();
    return true;
  }

  /** No more of it comes. */
  fail(error: LastCallError): void {
    if (this.#hasEnded || this.#error !== undefined) return;
    this.#error = error;
    this.#serve();
  }

  /** Nobody reads what is left of it: it counts as read, and the other side may go on. */
  discard(): void {
    this.#isDiscarded = true;
    for (let chunk = this.#chunks.shift(); chunk !== undefined; chunk = this.#chunks.shift()) this.#noteRead(chunk);
  }

  /**
   * All of it.
   *
   * @throws `ERR_CHANNEL_LIMIT` where it is longer than `longest` bytes; what was said of the connection where that broke.
   */
  async bytes(longest: number): Promise<Uint8Array> {
    const [only] = this.#chunks;
    if (this.#hasEnded && this.#chunks.length < 2 && !this.#isRead && (only?.length ?? 0) <= longest) {
      this.#isRead = true;
      this.discard();
      return only ?? NOTHING;
    }
    return this.#collect(longest);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    if (this.#isRead) throw new LastCallError('ERR_CHANNEL_READ', 'A payload can be read once, and this one was');
    this.#isRead = true;
    return {
      next: () => this.#next(),
      return: () => {
        this.discard();
        if (!this.#hasEnded && this.#error === undefined) this.#onAbandoned?.();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  async #collect(longest: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const chunk of this) {
        length += chunk.length;
        const isGathered = this.#host.gather(chunk.length);
        if (length > longest) {
          throw new LastCallError('ERR_CHANNEL_LIMIT', `A payload is longer than \`maxPayload\`, ${longest} bytes`);
        }
        if (!isGathered) {
          throw new LastCallError(
            'ERR_CHANNEL_LIMIT',
            'More than `maxGathered` bytes of payloads are read whole at once',
          );
        }
        chunks.push(chunk);
      }
    } finally {
      this.#host.gather(-length);
    }
    return Buffer.concat(chunks, length);
  }

  #next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#serve();
    });
  }

  /** What has come is for the reader even where the connection has broken after it. */
  #serve(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const chunk = this.#chunks.shift();
    if (chunk === undefined && !this.#hasEnded && this.#error === undefined && !this.#isDiscarded) return;
    this.#waiting = undefined;
    if (chunk !== undefined) {
      waiting.resolve({ done: false, value: chunk });
      this.#noteRead(chunk);
    } else if (this.#error === undefined) {
      waiting.resolve({ done: true, value: undefined });
    } else {
      waiting.reject(this.#error);
    }
  }

  #noteRead(chunk: Uint8Array): void {
    this.#host.consumed(chunk.length);
    const more = this.#window?.giveBack(chunk.length) ?? 0;
    if (more > 0 && !this.#hasEnded && this.#error === undefined) this.#host.grant(this.#id, more);
  }
}
