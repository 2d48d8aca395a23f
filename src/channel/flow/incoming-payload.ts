import { LastCallError } from '../../errors.ts';
import { ByteBlocks } from './byte-blocks.ts';
import { NOTHING } from '../wire/frames.ts';
import type { Gathered } from './gathering.ts';
import type { Receiving } from './receiving.ts';
import { ReceiveWindow } from './windows.ts';

/** A call of `next` that waits. */
interface Reader {
  readonly resolve: (result: IteratorResult<Uint8Array, undefined>) => void;
  readonly reject: (error: LastCallError) => void;
}

/** The payload of a request or a reply, while it comes. It can be read once: whole, or chunk by chunk. */
export class IncomingPayload implements AsyncIterable<Uint8Array> {
  readonly #id: number;
  readonly #receiving: Receiving;
  readonly #onAbandoned: (() => void) | undefined;
  readonly #window: ReceiveWindow | undefined;
  /** The content of its first frame, until it is read. */
  #first: Uint8Array | undefined;
  /** The content of the frames after it. */
  #chunks: ByteBlocks | undefined;
  /** Set while it is read whole. */
  #gathered: Gathered | undefined;
  #hasEnded: boolean;
  #isRead = false;
  #isDiscarded = false;
  #error: LastCallError | undefined;
  /** In order. A program may ask for the next chunk before it has the last. */
  #readers: Reader[] = [];

  /**
   * `first`: the content of its first frame, which is all where `hasEnded`. `onAbandoned`: called where the program stops reading
   * before the end.
   */
  constructor(id: number, first: Uint8Array, hasEnded: boolean, receiving: Receiving, onAbandoned?: () => void) {
    this.#id = id;
    this.#receiving = receiving;
    this.#onAbandoned = onAbandoned;
    this.#first = first.length > 0 ? first : undefined;
    this.#hasEnded = hasEnded;
    // A payload that came whole needs no window.
    if (!hasEnded) this.#window = new ReceiveWindow(receiving.requestCredit);
    this.#window?.take(first.length);
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** More of it has come. False where that is more than was granted. */
  push(chunk: Uint8Array, hasEnded: boolean): boolean {
    if (this.#window?.take(chunk.length) !== true) return false;
    this.#hasEnded = hasEnded;
    if (this.#isDiscarded) this.#noteRead(chunk.length);
    else if (chunk.length > 0) (this.#chunks ??= new ByteBlocks()).push(chunk);
    this.#serve();
    return true;
  }

  /** The rest does not come. */
  fail(error: LastCallError): void {
    if (this.#hasEnded || this.#error !== undefined) return;
    this.#error = error;
    this.#serve();
  }

  /**
   * The rest counts as read, so that the other side goes on. Where something was left, later reads get the error that `why`
   * makes, else the end. The error is made only then: it would cost more than everything else of a small request.
   */
  discard(why?: () => LastCallError): void {
    let isWhole = this.#hasEnded;
    for (let chunk = this.#shift(); chunk !== undefined; chunk = this.#shift()) {
      isWhole = false;
      this.#noteRead(chunk.length);
    }
    this.#isDiscarded = true;
    if (!isWhole) this.#error ??= why?.();
    this.#serve();
  }

  /**
   * The whole payload.
   *
   * @throws `ERR_CHANNEL_LIMIT` where it is longer than `longest` bytes. The error of the connection where that broke.
   */
  async bytes(longest: number): Promise<Uint8Array> {
    const isInOnePiece = this.#hasEnded && this.#chunks === undefined && this.#error === undefined;
    if (!isInOnePiece || this.#isRead || (this.#first?.length ?? 0) > longest) return this.#collect(longest);
    this.#isRead = true;
    const first = this.#shift() ?? NOTHING;
    this.#noteRead(first.length);
    return first;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    if (this.#isRead) throw readTwiceError();
    this.#isRead = true;
    return {
      next: () => this.#next(),
      return: () => {
        const isAbandoned = !this.#hasEnded && this.#error === undefined;
        this.discard();
        if (isAbandoned) this.#onAbandoned?.();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  async #collect(longest: number): Promise<Uint8Array> {
    const { gathering, requestCredit } = this.#receiving;
    const gathered = gathering.begin(this.#id, (bytes) => this.#giveBack(bytes));
    this.#gathered = gathered;
    const blocks = new ByteBlocks();
    let length = 0;
    try {
      for await (const chunk of this) {
        const ofFirstWindow = Math.min(chunk.length, Math.max(0, requestCredit - length));
        length += chunk.length;
        if (length > longest) throw limitError(`A payload is longer than \`maxPayload\`, ${longest} bytes`);
        if (!gathering.hold(gathered, ofFirstWindow)) {
          throw limitError('The payloads that are read whole at once hold more than `maxGathered`');
        }
        blocks.push(chunk);
      }
    } finally {
      this.#gathered = undefined;
      gathering.end(gathered);
    }
    return blocks.join();
  }

  #next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
      this.#serve();
    });
  }

  /** What has come is given to the program, even where the connection broke after it. */
  #serve(): void {
    while (this.#readers.length > 0) {
      const chunk = this.#shift();
      const isAtEnd = this.#hasEnded || this.#error !== undefined || this.#isDiscarded;
      if (chunk === undefined && !isAtEnd) return;
      const reader = this.#readers.shift();
      if (chunk !== undefined) {
        reader?.resolve({ done: false, value: chunk });
        this.#noteRead(chunk.length);
      } else if (this.#error === undefined) {
        reader?.resolve({ done: true, value: undefined });
      } else {
        reader?.reject(this.#error);
      }
    }
  }

  #shift(): Uint8Array | undefined {
    const first = this.#first;
    this.#first = undefined;
    return first ?? this.#chunks?.shift();
  }

  #noteRead(bytes: number): void {
    this.#receiving.consumed(bytes);
    if (this.#gathered === undefined) this.#giveBack(bytes);
    else this.#receiving.gathering.ask(this.#gathered, bytes);
  }

  /** Grants the other side credit for it. */
  #giveBack(bytes: number): void {
    const more = this.#window?.giveBack(bytes) ?? 0;
    if (more > 0 && !this.#hasEnded && this.#error === undefined) this.#receiving.grant(this.#id, more);
  }
}

export function readTwiceError(): LastCallError {
  return new LastCallError('ERR_CHANNEL_READ', 'A payload can be read only once');
}

function limitError(text: string): LastCallError {
  return new LastCallError('ERR_CHANNEL_LIMIT', text);
}
