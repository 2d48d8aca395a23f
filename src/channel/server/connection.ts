import type { ChannelEnding, FarewellState } from '../../connection/channel/sockets.ts';
import { LastCallError } from '../../errors.ts';
import { closeChunks, isChunks } from '../flow/chunks.ts';
import { IncomingPayload } from '../flow/incoming-payload.ts';
import { Link, type LinkEnd, type LinkOwner } from '../link/link.ts';
import { RequestTable } from '../link/request-table.ts';
import { END, FAILURE_CODES, FRAME, KEYED, NOTHING } from '../wire/frames.ts';
import type { Hello } from '../wire/hello.ts';
import { codeAndText, decodeGoodbye, type GoodbyeWords, readKey } from '../wire/payloads.ts';
import type { Transport } from '../wire/transport.ts';
import { boundKey, type ChannelTls, type ConnectedClient } from './caller.ts';
import { processOnce } from './exactly-once.ts';
import { Goodbyes } from './goodbye.ts';
import { IdleWatch } from './idle-watch.ts';
import { checkGoodbye, type ServerSettings } from './options.ts';
import { OutgoingMessages } from './outgoing-messages.ts';
import {
  type ChannelHandler,
  type ChannelPeer,
  failureText,
  type HandlerResult,
  ServedRequest,
  wrongReplyError,
} from './request.ts';

// The text of a FAILURE for a cancelled request. docs/channel-vectors has it, too.
const TAKEN_BACK = 'Taken back';

/** The server's side of one connection. */
export class ServerConnection implements ChannelPeer, ChannelEnding, LinkOwner {
  readonly #client: ConnectedClient;
  #identity = '';
  readonly #link: Link;
  readonly #settings: ServerSettings;
  readonly #requests = new RequestTable<ServedRequest>();
  readonly #messages: OutgoingMessages;
  readonly #goodbyes: Goodbyes;
  readonly #onClosed: () => void;
  /** The last request that came. */
  #lastSeen = 0;
  /** The last request that was accepted. After our GOODBYE none is. */
  #lastAccepted = 0;
  readonly #idle: IdleWatch;

  constructor(transport: Transport, client: ConnectedClient, settings: ServerSettings, onClosed: () => void) {
    this.#client = client;
    this.#settings = settings;
    this.#onClosed = onClosed;
    this.#link = new Link(transport, settings.clock, settings.link, this);
    this.#messages = new OutgoingMessages(this.#link, settings.link.maxUnread);
    this.#goodbyes = new Goodbyes(this.#link);
    const isBusy = (): boolean => this.#requests.size > 0;
    this.#idle = new IdleWatch(settings.clock, settings.idleLimit, isBusy, () => this.goodbye({ reason: 'idle' }));
  }

  get remote(): string {
    return this.#client.remote;
  }

  get identity(): string {
    return this.#identity;
  }

  get tls(): ChannelTls | undefined {
    return this.#client.tls;
  }

  get isOpen(): boolean {
    return this.#link.isOpen && !this.#goodbyes.isLeaving;
  }

  get lastAccepted(): number {
    return this.#lastAccepted;
  }

  /** The state of our GOODBYE, for the close of the server. */
  get farewell(): FarewellState {
    return this.#goodbyes.state;
  }

  send(message: Uint8Array): Promise<void> {
    return this.#messages.send(message, this.#goodbyes.isLeaving);
  }

  goodbye(words?: GoodbyeWords): void {
    const checked = words === undefined ? this.#settings.farewell : checkGoodbye('words', words);
    this.#goodbyes.send(this.#lastAccepted, checked);
    this.#endWhenDone();
  }

  opened({ store: hello }: Hello): void {
    try {
      this.#identity = this.#client.identify(hello);
    } catch (error) {
      this.#settings.onError(error, this);
      return this.#link.fail('protocol', 'The server does not accept this client');
    }
    this.#goodbyes.sendIfWanted(this.#lastAccepted);
    if (this.isOpen) this.#idle.start();
    this.#settings.onOpen(this);
  }

  frame(kind: number, flags: number, id: number, payload: Uint8Array): void {
    switch (kind) {
      case FRAME.request:
        return this.#take(id, flags, payload);
      case FRAME.data:
        return this.#takeMore(id, flags, payload);
      case FRAME.cancel:
        return this.#cancel(id);
      case FRAME.received:
        return this.#forget(payload);
      case FRAME.goodbye:
        if (id !== this.#lastSeen || decodeGoodbye(payload) === undefined) {
          return this.#link.fail('protocol', 'A GOODBYE is cut off, or names another last request');
        }
        this.#goodbyes.receive(id);
        return this.#endWhenDone();
      case FRAME.goodbyeAck:
        if (!this.#goodbyes.receiveAnswer(id, this.#lastSeen)) {
          return this.#link.fail('protocol', 'A GOODBYE-ACK came without a GOODBYE, or names another last request');
        }
        return this.#endWhenDone();
      default:
        this.#link.fail('protocol', `A frame of kind ${kind} came, which no client sends`);
    }
  }

  get awaitsRoom(): boolean {
    return this.#messages.isWaiting;
  }

  maySend(): void {
    this.#messages.sendWaiting();
    this.#endWhenDone();
  }

  ended({ error }: LinkEnd): void {
    this.#idle.stop();
    const reason =
      error ?? new LastCallError('ERR_CHANNEL_BROKEN', 'The connection ended while the request was under way');
    for (const [, request] of this.#requests.entries()) {
      request.payload.fail(reason);
      if (request.key === undefined) request.abort(reason);
    }
    this.#requests.clear();
    this.#messages.fail(reason);
    if (error !== undefined) this.#settings.onError(error, this);
  }

  closed(): void {
    this.#onClosed();
  }

  #take(id: number, flags: number, payload: Uint8Array): void {
    if (id <= this.#lastSeen) return this.#link.fail('protocol', `Request ${id} came after request ${this.#lastSeen}`);
    if (this.#goodbyes.isAnswered) return this.#link.fail('protocol', 'A request came after the GOODBYE-ACK');
    if (this.#goodbyes.isReceived) return this.#link.fail('protocol', "A request came after the client's own GOODBYE");
    this.#lastSeen = id;
    // It crossed our GOODBYE. The client knows that it is not processed, and sends it elsewhere.
    if (this.#goodbyes.isLeaving) return this.#link.receiving.consumed(payload.length);
    const { maxRequests } = this.#settings.link.hello;
    if (this.#requests.size >= maxRequests)
      return this.#link.fail('limit', `More than ${maxRequests} requests at once`);
    const key = (flags & KEYED) === 0 ? undefined : readKey(payload);
    if (key === 'no key') return this.#link.fail('protocol', `Request ${id} has an invalid key`);
    this.#lastAccepted = id;
    const first = key === undefined ? payload : payload.subarray(key.length);
    if (key !== undefined) this.#link.receiving.consumed(key.length);
    const incoming = new IncomingPayload(id, first, (flags & END) !== 0, this.#link.receiving);
    const bound = key && boundKey(this.#identity, key.text);
    const request = new ServedRequest(this, bound, incoming, this.#settings.link.maxPayload);
    this.#requests.add(id, request);
    if (bound === undefined) this.#serve(id, request);
    else void this.#serveOnce(id, request, bound);
  }

  #takeMore(id: number, flags: number, payload: Uint8Array): void {
    if (id > this.#lastSeen) return this.#link.fail('protocol', `More of request ${id} came, which did not begin`);
    const incoming = this.#requests.get(id)?.payload;
    // It was answered or cancelled before its payload ended, or it crossed our GOODBYE.
    if (incoming === undefined) return this.#link.receiving.consumed(payload.length);
    if (incoming.hasEnded) return this.#link.fail('protocol', `More of request ${id} came after its end`);
    if (!incoming.push(payload, (flags & END) !== 0)) {
      this.#link.fail('limit', `More of request ${id} came than was granted`);
    }
  }

  #serve(id: number, request: ServedRequest): void {
    try {
      const result = this.#settings.handler(request);
      if (isPromise(result)) {
        result.then(
          (reply) => this.#answer(id, request, reply),
          (error: unknown) => this.#answerError(id, request, error),
        );
      } else {
        this.#answer(id, request, result);
      }
    } catch (error) {
      this.#answerError(id, request, error);
    }
  }

  /** Reads the payload of a request with a key whole first. Where the connection breaks before, nothing was begun. */
  async #serveOnce(id: number, request: ServedRequest, key: string): Promise<void> {
    const resolved = await processOnce(request, key, this.#settings);
    if ('reply' in resolved) this.#answer(id, request, resolved.reply);
    else if ('failure' in resolved) this.#fail(id, 'failed', resolved.failure);
    else if ('reused' in resolved) this.#fail(id, 'key reused', resolved.reused);
    else if ('notProcessed' in resolved) this.#fail(id, 'not processed', resolved.notProcessed);
    else this.#fail(id, 'unknown', resolved.unknown);
  }

  #answer(id: number, request: ServedRequest, result: HandlerResult): void {
    const isUnderWay = this.#requests.get(id) === request;
    if (!isUnderWay || request.step === 'cancelled') {
      if (isChunks(result)) void closeChunks(result);
      if (isUnderWay) this.#fail(id, 'cancelled', TAKEN_BACK);
      return;
    }
    const reply: unknown = result ?? NOTHING;
    if (!(reply instanceof Uint8Array) && !isChunks(reply)) {
      return this.#answerError(id, request, wrongReplyError(reply));
    }
    const onEnd = (error?: unknown): void => {
      if (error === undefined) this.#finish(id);
      else this.#answerError(id, request, error);
    };
    request.step = 'answering';
    if (this.#link.sending.send(FRAME.reply, 0, id, reply, NOTHING, onEnd)) this.#finish(id);
  }

  #answerError(id: number, request: ServedRequest, error: unknown): void {
    if (this.#requests.get(id) !== request) return;
    if (request.step === 'cancelled') return this.#fail(id, 'cancelled', TAKEN_BACK);
    this.#settings.onError(error, this);
    this.#fail(id, 'failed', failureText(error));
  }

  #fail(id: number, how: keyof typeof FAILURE_CODES, text: string): void {
    const request = this.#requests.get(id);
    if (request === undefined) return;
    const code = FAILURE_CODES[request.step === 'cancelled' ? 'cancelled' : how];
    this.#link.writer.add(FRAME.failure, 0, id, codeAndText(code, text));
    this.#finish(id);
  }

  #finish(id: number): void {
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    request?.payload.discard(answeredBefore);
    this.#link.receiving.grantWithheld();
    if (this.#requests.size > 0) return;
    this.#idle.noteIdle();
    this.#endWhenDone();
  }

  #cancel(id: number): void {
    if (id > this.#lastSeen) return this.#link.fail('protocol', `Request ${id} was cancelled, and did not begin`);
    const request = this.#requests.get(id);
    // It was answered already, and the two crossed. Or it was cancelled before.
    if (request === undefined || request.step === 'cancelled') return;
    const reason = new LastCallError('ERR_REQUEST_FAILED', 'The client has cancelled the request');
    const isAnswering = request.step === 'answering';
    request.step = 'cancelled';
    this.#link.sending.stop(id);
    // It counts as under way until its handler ends. Otherwise a client could make any number of handlers run.
    if (isAnswering) this.#fail(id, 'cancelled', TAKEN_BACK);
    request.payload.fail(reason);
    request.payload.discard(() => reason);
    request.abort(reason);
  }

  #forget(payload: Uint8Array): void {
    const key = readKey(payload);
    if (key === 'no key') return this.#link.fail('protocol', 'A RECEIVED has no key');
    // Only of its own: a key is bound to its client.
    this.#settings.outcomes.forget(boundKey(this.#identity, key.text));
  }

  /** Sends FIN when no more requests come, and every reply has been written. */
  #endWhenDone(): void {
    if (this.#goodbyes.isDone && this.#requests.size === 0 && this.#link.isOpen) this.#link.end();
  }
}

function answeredBefore(): LastCallError {
  return new LastCallError('ERR_CHANNEL_READ', 'The request was answered before this was read');
}

/** A handler may return something that only behaves like a promise. */
function isPromise(result: ReturnType<ChannelHandler>): result is Promise<HandlerResult> {
  return typeof result === 'object' && result !== null && 'then' in result && typeof result.then === 'function';
}
