import { LastCallError, type LastCallErrorCode } from '../../errors.ts';
import type { IncomingPayload } from '../flow/incoming-payload.ts';
import type { ChannelPeer } from '../wire/peer.ts';

/** What a handler is given. The payload can be read once: by `bytes`, or chunk by chunk as an async iterable. */
export interface ChannelRequest extends AsyncIterable<Uint8Array> {
  /** The client that asks. */
  readonly peer: ChannelPeer;
  /** The request's key, where the client wants it to be done exactly once. */
  readonly key: string | undefined;
  /**
   * Aborts when the client takes the request back, and when its connection is gone; with a key only the former: the client
   * comes again for the outcome.
   */
  readonly signal: AbortSignal;
  /**
   * The whole payload.
   *
   * @throws `LastCallError`: `ERR_CHANNEL_LIMIT` where it is longer than the server's `maxPayload`; else what broke the connection.
   */
  bytes(): Promise<Uint8Array>;
}

/** The reply: bytes, chunks of them, or nothing. */
export type HandlerResult = Uint8Array | AsyncIterable<Uint8Array> | undefined | void;

/**
 * Answers a request. What it throws is told to the client as `ERR_REQUEST_FAILED`: the message of a `LastCallError` with that code,
 * or `ERR_CHANNEL_LIMIT`, is passed on, of any other error only that there was one.
 */
export type ChannelHandler = (request: ChannelRequest) => HandlerResult | Promise<HandlerResult>;

/** A request as its handler sees it. */
export class ServedRequest implements ChannelRequest {
  readonly peer: ChannelPeer;
  readonly key: string | undefined;
  readonly payload: IncomingPayload;
  /** `answering`: its handler is done, and the reply is being sent; `cancelled`: the client has taken it back, and the handler is not done. */
  step: 'processing' | 'answering' | 'cancelled' = 'processing';
  readonly #maxPayload: number;
  /** Made when it is asked for: most handlers do not. */
  #controller: AbortController | undefined;
  #abortReason: unknown;

  constructor(peer: ChannelPeer, key: string | undefined, payload: IncomingPayload, maxPayload: number) {
    this.peer = peer;
    this.key = key;
    this.payload = payload;
    this.#maxPayload = maxPayload;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    return this.#controller.signal;
  }

  bytes(): Promise<Uint8Array> {
    return this.payload.bytes(this.#maxPayload);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.payload[Symbol.asyncIterator]();
  }

  abort(reason: LastCallError): void {
    this.#abortReason ??= reason;
    this.#controller?.abort(reason);
  }
}

/** A request with a key, whose payload has come whole: its handler must not hang on the connection that brought it. */
export class WholeRequest implements ChannelRequest {
  readonly peer: ChannelPeer;
  readonly key: string;
  readonly signal: AbortSignal;
  readonly #payload: Uint8Array;
  #isRead = false;

  constructor(peer: ChannelPeer, key: string, payload: Uint8Array, signal: AbortSignal) {
    this.peer = peer;
    this.key = key;
    this.signal = signal;
    this.#payload = payload;
  }

  bytes(): Promise<Uint8Array> {
    return Promise.resolve(this.#payload);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, undefined> {
    if (this.#isRead) throw new LastCallError('ERR_CHANNEL_READ', 'A payload can be read once, and this one was');
    this.#isRead = true;
    yield await Promise.resolve(this.#payload);
    return undefined;
  }
}

// The second is thrown where the payload is too much to be read whole.
const TOLD: readonly LastCallErrorCode[] = ['ERR_REQUEST_FAILED', 'ERR_CHANNEL_LIMIT'];

/** What a client is told of an error that a handler has thrown. */
export function failureText(error: unknown): string {
  const isForClient = error instanceof LastCallError && TOLD.includes(error.code);
  return isForClient ? error.message : 'The handler failed';
}
