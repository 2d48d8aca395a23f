import { LastCallError, type LastCallErrorCode } from '../../errors.ts';
import { type IncomingPayload, readTwiceError } from '../flow/incoming-payload.ts';
import type { ChannelTls } from './caller.ts';
import type { PayloadKey } from './outcomes.ts';
import type { GoodbyeWords } from '../wire/payloads.ts';

/** One client of a server, as long as its connection lasts. */
export interface ChannelPeer {
  /** `address:port`, or `unix`. */
  readonly remote: string;
  /**
   * Who it is, and what its keys belong to: what `identify` returned, by default a digest of the `identity` in its greeting. Empty for a
   * client that has sent none, and before the greeting.
   */
  readonly identity: string;
  /** What TLS knows of it; undefined without TLS. */
  readonly tls: ChannelTls | undefined;
  /** Whether anything can be sent to it. */
  readonly isOpen: boolean;
  /**
   * Sends a message, at most once: it is lost with its connection. The promise resolves when the message was handed to the
   * connection. It waits while the client has not read what came before.
   *
   * @throws `LastCallError`, as a rejection: `ERR_CHANNEL_LIMIT` where the message is longer than the client's `maxFrame`, and where
   *   more than `maxUnread` bytes wait already; `ERR_CHANNEL_CLOSED` where the connection has ended, or is leaving. `ERR_OPTION` is
   *   thrown at once.
   */
  send(message: Uint8Array): Promise<void>;
  /**
   * Sends this client the farewell, once. Its accepted requests are answered, and it makes a new connection for the rest. Default:
   * the server's `farewell`.
   *
   * @throws `LastCallError` with code `ERR_OPTION` for wrong words.
   */
  goodbye(words?: GoodbyeWords): void;
}

/** What a handler gets. The payload can be read once: by `bytes`, or chunk by chunk as an async iterable. */
export interface ChannelRequest extends AsyncIterable<Uint8Array> {
  /** The client that sent the request. */
  readonly peer: ChannelPeer;
  /**
   * The request's key, where the client wants it to be processed exactly once: the key that the store is asked for. It is the
   * client's key, bound to the client: `identity/key`.
   */
  readonly key: string | undefined;
  /** With a key, the SHA-256 of the payload in base64url; the outcome has it, too. Else undefined. */
  readonly digest: string | undefined;
  /**
   * Aborts when the client cancels the request, and when its connection ends. With a key, only the former: the client comes back
   * for the outcome.
   */
  readonly signal: AbortSignal;
  /**
   * The whole payload.
   *
   * @throws `LastCallError`: `ERR_CHANNEL_LIMIT` where it is longer than the server's `maxPayload`. Otherwise the error that broke the
   *   connection.
   */
  bytes(): Promise<Uint8Array>;
}

/** The reply: bytes, chunks of them, or nothing. */
export type HandlerResult = Uint8Array | AsyncIterable<Uint8Array> | undefined | void;

/**
 * Answers a request. Where it throws, the client gets `ERR_REQUEST_FAILED`. The client gets the message of a `LastCallError`
 * with that code or `ERR_CHANNEL_LIMIT`; of any other error it learns only that there was one.
 */
export type ChannelHandler = (request: ChannelRequest) => HandlerResult | Promise<HandlerResult>;

/** A request, as its handler gets it. */
export class ServedRequest implements ChannelRequest {
  readonly peer: ChannelPeer;
  readonly key: string | undefined;
  /** Its handler gets a request with a key as a `WholeRequest`. */
  readonly digest = undefined;
  readonly payload: IncomingPayload;
  /** `answering`: its handler has ended, and the reply is sent. `cancelled`: the client cancelled it, and its handler has not ended. */
  step: 'processing' | 'answering' | 'cancelled' = 'processing';
  readonly #maxPayload: number;
  /** Made when the handler asks for it. Most do not. */
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

/** A request with a key, whose payload has come whole. Its handler does not depend on the connection that brought it. */
export class WholeRequest implements ChannelRequest {
  readonly peer: ChannelPeer;
  readonly key: string;
  readonly digest: string;
  readonly signal: AbortSignal;
  readonly #payload: Uint8Array;
  #isRead = false;

  constructor(peer: ChannelPeer, { key, digest }: PayloadKey, payload: Uint8Array, signal: AbortSignal) {
    this.peer = peer;
    this.key = key;
    this.digest = digest;
    this.signal = signal;
    this.#payload = payload;
  }

  bytes(): Promise<Uint8Array> {
    return Promise.resolve(this.#payload);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, undefined> {
    if (this.#isRead) throw readTwiceError();
    this.#isRead = true;
    yield await Promise.resolve(this.#payload);
    return undefined;
  }
}

// A handler gets the second where the payload is too long to be read whole.
const FOR_CLIENTS: readonly LastCallErrorCode[] = ['ERR_REQUEST_FAILED', 'ERR_CHANNEL_LIMIT'];

/** What a client learns of an error of a handler. */
export function failureText(error: unknown): string {
  const isForClient = error instanceof LastCallError && FOR_CLIENTS.includes(error.code);
  return isForClient ? error.message : 'The handler failed';
}

/** The error for a handler that returned something else than bytes or chunks. */
export function wrongReplyError(reply: unknown): TypeError {
  return new TypeError(`Expected a reply of bytes or chunks of them, got ${typeof reply}`);
}
