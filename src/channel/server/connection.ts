import { LastCallError } from '../../errors.ts';
import type { ChannelEnding, FarewellState } from '../../connection/channel/sockets.ts';
import { closeChunks, isChunks } from '../flow/close-chunks.ts';
import { FAILURE_CODES, codeAndText, END, FRAME, KEYED, NOTHING } from '../wire/frames.ts';
import type { Gathering } from '../flow/gathering.ts';
import type { Hello } from '../wire/hello.ts';
import { IdleWatch } from '../link/idle-watch.ts';
import { type IncomingHost, IncomingPayload } from '../flow/incoming-payload.ts';
import { Farewell } from './farewell.ts';
import { decodeGoodbye } from '../wire/goodbye.ts';
import { Link, type LinkEnd, type LinkOwner } from '../link/link.ts';
import { OutgoingMessages } from '../link/outgoing-messages.ts';
import type { ChannelPeer, GoodbyeWords } from '../wire/peer.ts';
import { readKey } from '../wire/key.ts';
import { type ChannelHandler, failureText, type HandlerResult, ServedRequest } from './request.ts';
import { resolveOnce } from './resolve-once.ts';
import { checkGoodbye } from './options.ts';
import type { ServingSettings } from './settings.ts';
import { RequestTable } from '../link/request-table.ts';
import type { Transport } from '../wire/transport.ts';

/** The server's side of one connection. */
export class ServerConnection implements ChannelPeer, ChannelEnding, LinkOwner, IncomingHost {
  readonly remote: string;
  readonly link: Link;
  readonly #settings: ServingSettings;
  readonly #requests = new RequestTable<ServedRequest>();
  readonly #messages: OutgoingMessages;
  readonly #farewell: Farewell;
  readonly #onClosed: () => void;
  /** The last request that came, and the last one that was accepted: after our farewell none is. */
  #lastSeen = 0;
  #lastAccepted = 0;
  /** Bytes that were read, and that the client has not got back. */
  #withheld = 0;
  readonly #idle: IdleWatch;

  constructor(transport: Transport, remote: string, settings: ServingSettings, onClosed: () => void) {
    this.remote = remote;
    this.#settings = settings;
    this.#onClosed = onClosed;
    this.link = new Link(transport, settings.clock, settings.link, this);
    this.#messages = new OutgoingMessages(this.link, settings.link.hello.credit);
    this.#farewell = new Farewell(this.link);
    const isBusy = (): boolean => this.#requests.size > 0;
    this.#idle = new IdleWatch(settings.clock, settings.idleLimit, isBusy, () => this.goodbye({ reason: 'idle' }));
  }

  get isOpen(): boolean {
    return this.link.isOpen && !this.#farewell.isSaid;
  }

  get lastAccepted(): number {
    return this.#lastAccepted;
  }

  /** How far the farewell has come, for whoever closes the server. */
  get farewell(): FarewellState {
    return this.#farewell.state;
  }

  send(message: Uint8Array): Promise<void> {
    return this.#messages.send(message, this.#farewell.isSaid);
  }

  goodbye(words?: GoodbyeWords): void {
    this.#farewell.say(
      this.#lastAccepted,
      words === undefined ? this.#settings.farewell : checkGoodbye('words', words),
    );
    this.#endWhenDone();
  }

  opened(_peer: Hello): void {
    this.#farewell.sayIfWanted(this.#lastAccepted);
    if (this.isOpen) this.#idle.begin();
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
          return this.link.fail('protocol', 'A GOODBYE is cut off, or names another last request');
        }
        this.#farewell.hear(id);
        return this.#endWhenDone();
      case FRAME.goodbyeAck:
        if (!this.#farewell.hearAnswer(id, this.#lastSeen)) {
          return this.link.fail(
            'protocol',
            'An answer to a farewell came that was not said, or names another last request',
          );
        }
        return this.#endWhenDone();
      default:
        this.link.fail('protocol', `A frame of kind ${kind} came, which no client sends`);
    }
  }

  get requestCredit(): number {
    return this.link.requestCredit;
  }

  get gathering(): Gathering {
    return this.link.gathering;
  }

  /** A client that does not read its replies gets no credit for more requests: it would fill this process. */
  consumed(bytes: number): void {
    this.#withheld += bytes;
    if (this.link.sending.isBehind) return;
    this.link.consumed(this.#withheld);
    this.#withheld = 0;
  }

  grant(id: number, bytes: number): void {
    this.link.grant(id, bytes);
  }

  get awaitsRoom(): boolean {
    return this.#messages.isWaiting;
  }

  maySend(): void {
    if (this.#withheld > 0) this.consumed(0);
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
    if (id <= this.#lastSeen) return this.link.fail('protocol', `Request ${id} came after request ${this.#lastSeen}`);
    if (this.#farewell.isAnswered) return this.link.fail('protocol', 'A request came after the answer to the farewell');
    if (this.#farewell.isHeard) return this.link.fail('protocol', "A request came after the client's own farewell");
    this.#lastSeen = id;
    // It crossed our farewell: the client knows that it is not processed, and asks elsewhere.
    if (this.#farewell.isSaid) return this.consumed(payload.length);
    const { maxRequests } = this.#settings.link.hello;
    if (this.#requests.size >= maxRequests) return this.link.fail('limit', `More than ${maxRequests} requests at once`);
    const key = (flags & KEYED) === 0 ? undefined : readKey(payload);
    if (key === 'no key') return this.link.fail('protocol', `Request ${id} has a key that is none`);
    this.#lastAccepted = id;
    const first = key === undefined ? payload : payload.subarray(key.length);
    if (key !== undefined) this.consumed(key.length);
    const incoming = new IncomingPayload(id, first, (flags & END) !== 0, this);
    const request = new ServedRequest(this, key?.text, incoming, this.#settings.maxPayload);
    this.#requests.add(id, request);
    if (key === undefined) this.#serve(id, request);
    else void this.#serveOnce(id, request, key.text);
  }

  #takeMore(id: number, flags: number, payload: Uint8Array): void {
    if (id > this.#lastSeen) return this.link.fail('protocol', `More of request ${id} came, which did not begin`);
    const incoming = this.#requests.get(id)?.payload;
    // It was answered, or taken back, before its payload had ended; or it has crossed our farewell.
    if (incoming === undefined) return this.consumed(payload.length);
    if (incoming.hasEnded) return this.link.fail('protocol', `More of request ${id} came after its end`);
    if (!incoming.push(payload, (flags & END) !== 0)) {
      this.link.fail('limit', `More of request ${id} came than was granted`);
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

  /** Under a key: the payload comes whole first, so that a connection that breaks in it has begun nothing. */
  async #serveOnce(id: number, request: ServedRequest, key: string): Promise<void> {
    const resolved = await resolveOnce(request, key, this.#settings);
    if ('reply' in resolved) this.#answer(id, request, resolved.reply);
    else if ('failure' in resolved) this.#fail(id, 'failed', resolved.failure);
    else if ('notProcessed' in resolved) this.#fail(id, 'not processed', resolved.notProcessed);
    else this.#fail(id, 'unknown', resolved.unknown);
  }

  #answer(id: number, request: ServedRequest, result: HandlerResult): void {
    // Its connection has ended, or the client has taken it back.
    const isWanted = this.#requests.get(id) === request && request.step !== 'cancelled';
    if (!isWanted && isChunks(result)) void closeChunks(result);
    if (this.#requests.get(id) !== request) return;
    if (!isWanted) return this.#fail(id, 'cancelled', 'Taken back');
    const reply: unknown = result ?? NOTHING;
    if (!(reply instanceof Uint8Array) && !isChunks(reply)) {
      return this.#answerError(
        id,
        request,
        new TypeError(`Expected a reply of bytes or chunks of them, got ${typeof reply}`),
      );
    }
    const over = (error?: unknown): void => {
      if (error === undefined) this.#finish(id);
      else this.#answerError(id, request, error);
    };
    request.step = 'answering';
    if (this.link.sending.send(FRAME.reply, 0, id, reply, NOTHING, over)) this.#finish(id);
  }

  #answerError(id: number, request: ServedRequest, error: unknown): void {
    if (this.#requests.get(id) !== request) return;
    if (request.step === 'cancelled') return this.#fail(id, 'cancelled', 'Taken back');
    this.#settings.onError(error, this);
    this.#fail(id, 'failed', failureText(error));
  }

  #fail(id: number, how: keyof typeof FAILURE_CODES, text: string): void {
    const request = this.#requests.get(id);
    if (request === undefined) return;
    const code = FAILURE_CODES[request.step === 'cancelled' ? 'cancelled' : how];
    this.link.writer.add(FRAME.failure, 0, id, codeAndText(code, text));
    this.#finish(id);
  }

  #finish(id: number): void {
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    request?.payload.discard(answeredBefore);
    if (this.#withheld > 0) this.consumed(0);
    if (this.#requests.size > 0) return;
    this.#idle.noteIdle();
    this.#endWhenDone();
  }

  #cancel(id: number): void {
    if (id > this.#lastSeen) return this.link.fail('protocol', `Request ${id} was taken back, and did not begin`);
    const request = this.#requests.get(id);
    // Answered already; the two have crossed. Or it is taken back a second time.
    if (request === undefined || request.step === 'cancelled') return;
    const reason = new LastCallError('ERR_REQUEST_FAILED', 'The client has taken the request back');
    const isAnswering = request.step === 'answering';
    request.step = 'cancelled';
    this.link.sending.stop(id);
    // While its handler is at it, it counts as under way: else a client could have any number of them at it.
    if (isAnswering) this.#fail(id, 'cancelled', 'Taken back');
    request.payload.fail(reason);
    request.payload.discard(() => reason);
    request.abort(reason);
  }

  #forget(payload: Uint8Array): void {
    const key = readKey(payload);
    if (key === 'no key') return this.link.fail('protocol', 'A RECEIVED has no key');
    this.#settings.outcomes.forget(key.text);
  }

  /** Our FIN goes when the farewell was answered, or the client has said its own, and every reply has been written. */
  #endWhenDone(): void {
    if (this.#farewell.isDone && this.#requests.size === 0 && this.link.isOpen) this.link.end();
  }
}

function answeredBefore(): LastCallError {
  return new LastCallError('ERR_CHANNEL_READ', 'The request was answered before this was read');
}

/** A handler may return what only behaves like a promise. */
function isPromise(result: ReturnType<ChannelHandler>): result is Promise<HandlerResult> {
  return typeof result === 'object' && result !== null && 'then' in result && typeof result.then === 'function';
}
