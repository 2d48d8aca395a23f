import { LastCallError } from '../../errors.ts';
import { NOTHING } from '../wire/frames.ts';
import type { IncomingPayload } from '../flow/incoming-payload.ts';
import type { Payload } from '../flow/outgoing-payload.ts';
import { closeChunks, isChunks } from '../flow/close-chunks.ts';

/** What is asked: bytes; or a function that makes chunks of them, called each time the request is sent. */
export type RequestPayload = Uint8Array | (() => AsyncIterable<Uint8Array>);

/** How a request is to be taken. */
export interface RequestOptions {
  /** Takes the request back. Sent already, its outcome is unknown. */
  readonly signal?: AbortSignal;
  /** It may be processed more than once: where its outcome is unknown it is sent again. Default false. */
  readonly idempotent?: boolean;
  /**
   * It is to be processed once, whatever breaks: where its outcome is unknown the server is asked for it, by a key. `true`: a key is
   * made for it; a string, of at most 255 bytes, is the key, and holds for the next process, too, that asks with it.
   */
  readonly exactlyOnce?: boolean | string;
}

/** The reply of a server, chunk by chunk. It can be read once. */
export type ChannelReply = AsyncIterable<Uint8Array>;

/** What is known of a request so far. */
export interface Asking {
  readonly payload: RequestPayload;
  readonly key: string | undefined;
  /** Whether the program has chosen the key: it may ask with it again. */
  readonly isOwnKey: boolean;
  readonly idempotent: boolean;
  readonly signal: AbortSignal | undefined;
}

/** One request of a client, on however many connections it is sent. */
export class ClientRequest {
  readonly asking: Asking;
  readonly wantsChunks: boolean;
  readonly #resolve: (reply: Uint8Array | ChannelReply) => void;
  readonly #reject: (error: LastCallError) => void;
  /** How often it was sent without being known as not processed. */
  sendings = 0;
  /** Since when it has been waiting to be sent; on the client's clock. */
  waitsSince = 0;
  /** When it was sent first, with a key; on the client's clock. */
  sentAt: number | undefined;
  /** Where it may have been processed: the store that its server remembers in. */
  doubt: { readonly store: string } | undefined;
  #isSettled = false;
  /** Made, and not sent. */
  #chunks: AsyncIterable<Uint8Array> | undefined;
  #forgetSignal: (() => void) | undefined;

  constructor(
    asking: Asking,
    wantsChunks: boolean,
    resolve: (reply: Uint8Array | ChannelReply) => void,
    reject: (error: LastCallError) => void,
  ) {
    this.asking = asking;
    this.wantsChunks = wantsChunks;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /**
   * Has the program make the payload that is to be sent next. It may do anything in that: take the request back, or ask for
   * something else.
   */
  prepare(): void {
    const { payload } = this.asking;
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
    const { payload } = this.asking;
    const chunks = this.#chunks;
    this.#chunks = undefined;
    return chunks ?? (payload instanceof Uint8Array ? payload : NOTHING);
  }

  /** Calls when the program takes it back. */
  onAbort(call: () => void): void {
    const { signal } = this.asking;
    if (signal === undefined) return;
    signal.addEventListener('abort', call, { once: true });
    this.#forgetSignal = () => signal.removeEventListener('abort', call);
  }

  done(reply: Uint8Array): void {
    if (this.#settle()) this.#resolve(reply);
    this.forgetSignal();
  }

  /** The reply has begun: it may still be taken back. Call `forgetSignal` at its end. */
  begun(reply: IncomingPayload): void {
    if (this.#settle()) this.#resolve(reply);
  }

  fail(error: LastCallError): void {
    if (this.#settle()) this.#reject(error);
    this.forgetSignal();
  }

  /** It can not be taken back any more. */
  forgetSignal(): void {
    this.#forgetSignal?.();
    this.#forgetSignal = undefined;
  }

  /** It will not be sent any more: what is known of it then. */
  giveUp(why: string, cause?: unknown): void {
    if (this.doubt === undefined)
      this.fail(new LastCallError('ERR_NOT_PROCESSED', `The request was not processed: ${why}`, { cause }));
    else this.failUnknown(why, cause);
  }

  failUnknown(why: string, cause?: unknown): void {
    const text = `Whether the request was processed is not known: ${why}`;
    this.fail(new LastCallError('ERR_OUTCOME_UNKNOWN', text, { cause }));
  }

  #settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    if (this.#chunks !== undefined) void closeChunks(this.#chunks);
    this.#chunks = undefined;
    return true;
  }
}
