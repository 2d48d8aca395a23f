import { LastCallError } from '../../errors.ts';
import { closeChunks, isChunks, type Payload } from '../flow/chunks.ts';
import type { IncomingPayload } from '../flow/incoming-payload.ts';
import { type FAILURE_CODES, NOTHING } from '../wire/frames.ts';

/** The payload of a request: bytes, or a function that makes chunks of them, called each time the request is sent. */
export type RequestPayload = Uint8Array | (() => AsyncIterable<Uint8Array>);

/** How to treat a request. */
export interface RequestOptions {
  /** Cancels the request. If it was sent already, its outcome is unknown. */
  readonly signal?: AbortSignal;
  /** It may be processed more than once: where its outcome is unknown, it is sent again. Default false. */
  readonly idempotent?: boolean;
  /**
   * It is processed once, even if connections break: where its outcome is unknown, the client asks the server for it, by a key.
   * `true`: the client makes a key. A string of at most 255 bytes is the key. It belongs to this channel, or to all that have the
   * same `identity`. With another payload the same key is an error.
   */
  readonly exactlyOnce?: boolean | string;
}

/** The reply of a server, chunk by chunk. It can be read once. */
export type ChannelReply = AsyncIterable<Uint8Array>;

/** A payload and its options, complete. */
export interface RequestDetails {
  readonly payload: RequestPayload;
  readonly key: string | undefined;
  /** Whether the program has chosen the key. It may use the key again. */
  readonly isOwnKey: boolean;
  readonly idempotent: boolean;
  readonly signal: AbortSignal | undefined;
}

/** One request of a client, on all connections on which it is sent. */
export class ClientRequest {
  readonly details: RequestDetails;
  readonly wantsChunks: boolean;
  readonly #resolve: (reply: Uint8Array | ChannelReply) => void;
  readonly #reject: (error: LastCallError) => void;
  /** How often it was sent, not counting where it is known as not processed. */
  timesSent = 0;
  /** Since when it has waited to be sent, on the client's clock. */
  waitsSince = 0;
  /** When it was first sent with a key, on the client's clock. */
  sentAt: number | undefined;
  /** The store of the server that may have processed it. */
  maybeProcessedIn: string | undefined;
  #isSettled = false;
  /** The chunks of its payload, made and not sent. */
  #chunks: AsyncIterable<Uint8Array> | undefined;
  #stopListening: (() => void) | undefined;

  constructor(
    details: RequestDetails,
    wantsChunks: boolean,
    resolve: (reply: Uint8Array | ChannelReply) => void,
    reject: (error: LastCallError) => void,
  ) {
    this.details = details;
    this.wantsChunks = wantsChunks;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Makes the program create the chunks to send. That may do anything: cancel this request, or make another one. */
  prepare(): void {
    const { payload } = this.details;
    if (payload instanceof Uint8Array || this.#chunks !== undefined) return;
    const chunks: unknown = payload();
    if (!isChunks(chunks)) {
      throw new TypeError(`Expected \`payload\` to return chunks as an async iterable, got ${typeof chunks}`);
    }
    if (this.#isSettled) void closeChunks(chunks);
    else this.#chunks = chunks;
  }

  /** The payload that was prepared. */
  takePayload(): Payload {
    const { payload } = this.details;
    const chunks = this.#chunks;
    this.#chunks = undefined;
    return chunks ?? (payload instanceof Uint8Array ? payload : NOTHING);
  }

  /** Calls when the program cancels it. */
  onAbort(call: () => void): void {
    const { signal } = this.details;
    if (signal === undefined) return;
    signal.addEventListener('abort', call, { once: true });
    this.#stopListening = () => signal.removeEventListener('abort', call);
  }

  /** Its whole reply has come. */
  succeed(reply: Uint8Array): void {
    if (this.#settle()) this.#resolve(reply);
    this.forgetSignal();
  }

  /** Its reply has begun. It may still be cancelled: call `forgetSignal` at the end. */
  begin(reply: IncomingPayload): void {
    if (this.#settle()) this.#resolve(reply);
  }

  fail(error: LastCallError): void {
    if (this.#settle()) this.#reject(error);
    this.forgetSignal();
  }

  /** The server sent a FAILURE. `how` is undefined where its code is unknown. */
  failBecause(how: keyof typeof FAILURE_CODES | undefined, text: string): void {
    if (how === 'failed') this.fail(new LastCallError('ERR_REQUEST_FAILED', text));
    else if (how === 'key reused') this.fail(new LastCallError('ERR_KEY_REUSED', text));
    // Another request with the program's own key may have been processed. The store cannot tell now.
    else if (how === 'not processed' && !this.details.isOwnKey) this.giveUp(text);
    else this.failUnknown(text);
  }

  /** It is not sent again. The error says what is known of it. */
  giveUp(why: string, cause?: unknown): void {
    if (this.maybeProcessedIn !== undefined) this.failUnknown(why, cause);
    else this.fail(new LastCallError('ERR_NOT_PROCESSED', `The request was not processed: ${why}`, { cause }));
  }

  failUnknown(why: string, cause?: unknown): void {
    const text = `It is unknown whether the request was processed: ${why}`;
    this.fail(new LastCallError('ERR_OUTCOME_UNKNOWN', text, { cause }));
  }

  /** It cannot be cancelled any more. */
  forgetSignal(): void {
    this.#stopListening?.();
    this.#stopListening = undefined;
  }

  #settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    if (this.#chunks !== undefined) void closeChunks(this.#chunks);
    this.#chunks = undefined;
    return true;
  }
}
