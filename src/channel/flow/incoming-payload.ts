import { LastCallError } from '../../errors.ts';
import { ByteBlocks } from './byte-blocks.ts';
import { NOTHING } from '../wire/frames.ts';
import type { Gathered, Gathering } from './gathering.ts';
import { ReceiveWindow } from './windows.ts';

/** What a payload that comes in needs of its connection. */
export interface IncomingHost {
  /** Bytes that the payload of one request or reply may have on its way, or unread. */
  readonly requestCredit: number;
  /** Where payloads wait for room that are read whole. */
  readonly gathering: Gathering;
  /** So much of what had come has been read. */
  consumed(bytes: number): void;
  /** The other side may send so much more of this payload. */
  grant(id: number, bytes: number): void;
}

/** Somebody who is told when a payload goes on. */
interface Reader {
  readonly resolve: (result: IteratorResult<Uint8Array, undefined>) => void;
  readonly reject: (error: LastCallError) => void;
}

/** The payload of a request or a reply, as it comes in. It can be read once: whole, or chunk by chunk. */
export class IncomingPayload implements AsyncIterable<Uint8Array> {
  readonly #id: number;
  readonly #host: IncomingHost;
  readonly #onAbandoned: (() => void) | undefined;
  readonly #window: ReceiveWindow | undefined;
  /** What has come in its first frame; the rest is among the chunks. */
  #first: Uint8Array | undefined;
  #chunks: ByteBlocks | undefined;
  /** While it is read whole. */
  #gathered: Gathered | undefined;
  #hasEnded: boolean;
  #isRead = false;
  #isDiscarded = false;
  #error: LastCallError | undefined;
  /** In their order: a program may ask for the next chunk before it has the last. */
  #readers: Reader[] = [];

  /**
   * `first` is what the first frame of it has brought, all where `hasEnded`. `onAbandoned` is called where the reader leaves it
   * before its end.
   */
  constructor(id: number, first: Uint8Array, hasEnded: boolean, host: IncomingHost, onAbandoned?: () => void) {
    this.#id = id;
    this.#host = host;
    this.#onAbandoned = onAbandoned;
    this.#first = first.length > 0 ? first : undefined;
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
    if (this.#isDiscarded) this.#noteRead(chunk.length);
    else if (chunk.length > 0) (this.#chunks ??= new ByteBlocks()).push(chunk);
    this.#serve();
    return true;
  }

  /** No more of it comes. */
  fail(error: LastCallError): void {
    if (this.#hasEnded || this.#error !== undefined) return;
    this.#error = error;
    this.#serve();
  }

  /**
   * What is left of it counts as read, and the other side may go on. Whoever reads on is told what `why` makes, where something
   * was left; else that it is at its end. It is made then only: an error costs more than all else of a small request.
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
   * All of it.
   *
   * @throws `ERR_CHANNEL_LIMIT` where it is longer than `longest` bytes; what was said of the connection where that broke.
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
    if (this.#isRead) throw new LastCallError('ERR_CHANNEL_READ', 'A payload can be read once, and this one was');
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
    const { gathering, requestCredit } = this.#host;
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
          throw limitError('So many payloads are read whole at once that they hold more than `maxGathered`');
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

  /** What has come is for the reader even where the connection has broken after it. */
  #serve(): void {
    while (this.#readers.length > 0) {
      const chunk = this.#shift();
      const isOver = this.#hasEnded || this.#error !== undefined || this.#isDiscarded;
      if (chunk === undefined && !isOver) return;
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
    this.#host.consumed(bytes);
    if (this.#gathered === undefined) this.#giveBack(bytes);
    else this.#host.gathering.ask(this.#gathered, bytes);
  }

  /** The other side may go on with it. */
  #giveBack(bytes: number): void {
    const more = this.#window?.giveBack(bytes) ?? 0;
    if (more > 0 && !this.#hasEnded && this.#error === undefined) this.#host.grant(this.#id, more);
  }
}

function limitError(text: string): LastCallError {
  return new LastCallError('ERR_CHANNEL_LIMIT', text);
}
