import { LastCallError } from '../../errors.ts';
import { IncomingPayload } from '../flow/incoming-payload.ts';
import { Link, type LinkEnd, type LinkOwner } from '../link/link.ts';
import { RequestTable } from '../link/request-table.ts';
import { END, FAILURE_CODES, FRAME, type GoodbyeReason, KEYED, NOTHING, wordFor } from '../wire/frames.ts';
import type { Hello } from '../wire/hello.ts';
import {
  decodeGoodbye,
  encodeGoodbye,
  encodeKey,
  LONGEST_KEY,
  readCodeAndText,
  type ReceivedGoodbye,
} from '../wire/payloads.ts';
import type { Transport } from '../wire/transport.ts';
import type { ClientSettings } from './options.ts';
import type { ClientRequest } from './request.ts';
import type { ServerMemory } from './send-again.ts';

/** What the connections of a client call. */
export interface ConnectionCalls {
  /** Whether requests wait for this connection. */
  readonly hasWaiting: (connection: ClientConnection) => boolean;
  /** Requests can be sent on it. */
  readonly onOpen: (connection: ClientConnection) => void;
  /** More can be sent on it than before. */
  readonly onRoom: (connection: ClientConnection) => void;
  readonly onMessage: (message: Uint8Array) => void;
  /** The server takes no more requests on it, and did not process these. */
  readonly onLeave: (
    connection: ClientConnection,
    goodbye: ReceivedGoodbye,
    notProcessed: readonly ClientRequest[],
  ) => void;
  /** It has ended. The requests `inDoubt` may have been processed. */
  readonly onEnd: (
    connection: ClientConnection,
    error: LastCallError,
    notProcessed: readonly ClientRequest[],
    inDoubt: readonly ClientRequest[],
  ) => void;
  /** Both sides have ended. The last call. */
  readonly onClosed: (connection: ClientConnection) => void;
}

/** A request that is under way on this connection. */
interface Sent {
  readonly request: ClientRequest;
  /** Its reply, where that does not come in one frame. */
  incoming: IncomingPayload | undefined;
}

// After a farewell the server ends the connection when it has sent all replies. If it does not, we end it after this, in ms.
const LONGEST_LEAVE = 10_000;

/** The client's side of one connection. */
export class ClientConnection implements LinkOwner {
  readonly #link: Link;
  readonly #settings: ClientSettings;
  readonly #calls: ConnectionCalls;
  readonly #sent = new RequestTable<Sent>();
  #lastId = 0;
  #step: 'greeting' | 'open' | 'leaving' | 'ended' = 'greeting';
  #goodbye: 'not sent' | 'sent' | 'answered' = 'not sent';
  #hasReceivedGoodbye = false;
  #hasServed = false;
  #peer: Hello | undefined;
  #stopTimer: (() => void) | undefined;

  constructor(transport: Transport, settings: ClientSettings, calls: ConnectionCalls) {
    this.#settings = settings;
    this.#calls = calls;
    this.#link = new Link(transport, settings.clock, settings.link, this);
  }

  /** A server sends no requests that an ERROR of ours could name. */
  readonly lastAccepted = 0;

  get isOpen(): boolean {
    return this.#step === 'open';
  }

  get hasOpened(): boolean {
    return this.#peer !== undefined;
  }

  get memory(): ServerMemory {
    return { store: this.#peer?.store ?? '', remembers: this.#peer?.remembers ?? 0 };
  }

  /** Whether the server has answered a request on it. */
  get hasServed(): boolean {
    return this.#hasServed;
  }

  get underWay(): number {
    return this.#sent.size;
  }

  get canSend(): boolean {
    return this.#isAccepting && this.#hasRoom;
  }

  get idsUsedUp(): boolean {
    return this.#lastId >= this.#settings.lastId;
  }

  /** Whether the server serves one more request at once. */
  get #isAccepting(): boolean {
    return this.#step === 'open' && this.#sent.size < (this.#peer?.maxRequests ?? 0) && !this.idsUsedUp;
  }

  get #hasRoom(): boolean {
    return this.#link.sending.room > LONGEST_KEY;
  }

  /** Sends a request that is prepared. Call it only where `canSend`. */
  send(request: ClientRequest): void {
    const { key } = request.details;
    const prefix = key === undefined ? NOTHING : encodeKey(key);
    const payload = request.takePayload();
    this.#lastId += 1;
    const id = this.#lastId;
    request.timesSent += 1;
    if (key !== undefined) request.sentAt ??= this.#settings.clock.now();
    this.#sent.add(id, { request, incoming: undefined });
    this.#link.sending.send(FRAME.request, key === undefined ? 0 : KEYED, id, payload, prefix, (error) => {
      if (error !== undefined) this.#cancel(id, 'its payload threw', error);
    });
  }

  /** The program has cancelled a request. */
  cancel(request: ClientRequest): void {
    const id = this.#sent.entries().find(([, sent]) => sent.request === request)?.[0];
    if (id !== undefined) this.#cancel(id, 'it was cancelled', request.details.signal?.reason);
  }

  /** Sends our GOODBYE. The requests under way go on, and the server ends the connection after them. */
  leave(reason: GoodbyeReason): void {
    if (this.#step === 'greeting') return this.destroy();
    if (this.#step !== 'open') return;
    this.#step = 'leaving';
    this.#goodbye = 'sent';
    this.#link.writer.add(FRAME.goodbye, 0, this.#lastId, encodeGoodbye({ reason }));
    this.#endWhenLeft();
  }

  destroy(): void {
    this.#link.destroy();
  }

  opened(peer: Hello): void {
    if (peer.maxRequests === 0) return this.#link.fail('protocol', 'The server serves no requests');
    this.#peer = peer;
    this.#step = 'open';
    this.#calls.onOpen(this);
  }

  frame(kind: number, flags: number, id: number, payload: Uint8Array): void {
    switch (kind) {
      case FRAME.reply:
        return this.#takeReply(id, flags, payload);
      case FRAME.data:
        return this.#takeMore(id, flags, payload);
      case FRAME.failure:
        return this.#takeFailure(id, payload);
      case FRAME.message:
        this.#link.receiving.consumed(payload.length);
        return this.#calls.onMessage(payload);
      case FRAME.goodbye:
        return this.#takeGoodbye(id, payload);
      case FRAME.goodbyeAck:
        if (this.#goodbye !== 'sent' || id !== this.#lastId) {
          this.#link.fail('protocol', 'A GOODBYE-ACK came without a GOODBYE, or names another last request');
        } else this.#goodbye = 'answered';
        return;
      default:
        this.#link.fail('protocol', `A frame of kind ${kind} came, which no server sends`);
    }
  }

  get awaitsRoom(): boolean {
    return this.#calls.hasWaiting(this) && this.#isAccepting && !this.#hasRoom;
  }

  maySend(): void {
    this.#calls.onRoom(this);
  }

  ended({ error: given, lastAccepted = Number.POSITIVE_INFINITY }: LinkEnd): void {
    this.#step = 'ended';
    this.#stopTimer?.();
    const error =
      given ?? new LastCallError('ERR_CHANNEL_BROKEN', 'The server ended the connection without a farewell');
    const notProcessed: ClientRequest[] = [];
    const inDoubt: ClientRequest[] = [];
    for (const [id, { request, incoming }] of this.#sent.entries()) {
      incoming?.fail(brokenReplyError(error));
      if (request.isSettled) request.forgetSignal();
      if (id > lastAccepted) request.timesSent -= 1;
      (id > lastAccepted ? notProcessed : inDoubt).push(request);
    }
    this.#sent.clear();
    this.#calls.onEnd(this, error, notProcessed, inDoubt);
  }

  closed(): void {
    this.#calls.onClosed(this);
  }

  #takeReply(id: number, flags: number, payload: Uint8Array): void {
    const sent = this.#sent.get(id);
    if (sent === undefined || sent.incoming !== undefined) {
      return this.#link.fail('protocol', `A reply came for request ${id}, which awaits none`);
    }
    const { request } = sent;
    const hasEnded = (flags & END) !== 0;
    if (hasEnded && !request.wantsChunks) {
      this.#link.receiving.consumed(payload.length);
      this.#finishReply(id, request);
      request.succeed(payload);
      return;
    }
    const incoming = new IncomingPayload(id, payload, hasEnded, this.#link.receiving, () => this.#abandon(id));
    sent.incoming = incoming;
    if (request.isSettled) incoming.discard();
    else if (request.wantsChunks) request.begin(incoming);
    else this.#collect(id, request, incoming);
    if (hasEnded) this.#finishReply(id, request);
  }

  /** Reads a long reply that the program wants whole. */
  #collect(id: number, request: ClientRequest, incoming: IncomingPayload): void {
    incoming.bytes(this.#settings.link.maxPayload).then(
      (reply) => request.succeed(reply),
      (error: unknown) => {
        // The connection has ended. `onEnd` decides about the request: it may be sent again.
        if (!(error instanceof LastCallError) || error.code === 'ERR_OUTCOME_UNKNOWN') return;
        request.fail(error);
        this.#cancel(id, error.message, error);
      },
    );
  }

  #takeMore(id: number, flags: number, payload: Uint8Array): void {
    const sent = this.#sent.get(id);
    if (sent?.incoming === undefined)
      return this.#link.fail('protocol', `More of a reply to ${id} came, which did not begin`);
    if (!sent.incoming.push(payload, (flags & END) !== 0)) {
      return this.#link.fail('limit', `More of the reply to ${id} came than was granted`);
    }
    if ((flags & END) !== 0) this.#finishReply(id, sent.request);
  }

  #takeFailure(id: number, payload: Uint8Array): void {
    const sent = this.#sent.get(id);
    const failure = readCodeAndText(payload);
    if (sent === undefined || failure === undefined) {
      return this.#link.fail('protocol', `A failure came for request ${id}, which awaits none`);
    }
    const { request, incoming } = sent;
    const { code, text } = failure;
    const how = wordFor(FAILURE_CODES, code);
    if (how === 'failed') this.#sendReceived(request);
    this.#finish(id);
    request.failBecause(how, text);
    incoming?.fail(new LastCallError(how === 'failed' ? 'ERR_REQUEST_FAILED' : 'ERR_OUTCOME_UNKNOWN', text));
  }

  #takeGoodbye(lastAccepted: number, payload: Uint8Array): void {
    const goodbye = decodeGoodbye(payload);
    if (goodbye === undefined || lastAccepted > this.#lastId || this.#hasReceivedGoodbye) {
      const text = `A GOODBYE is cut off, the second, or names request ${lastAccepted} of ${this.#lastId}`;
      return this.#link.fail('protocol', text);
    }
    this.#hasReceivedGoodbye = true;
    const refused = this.#sent.entries().filter(([id]) => id > lastAccepted);
    const answered = refused.find(([, { incoming }]) => incoming !== undefined)?.[0];
    if (answered !== undefined)
      return this.#link.fail('protocol', `Request ${answered} was answered, and not accepted`);
    for (const [id, { request }] of refused) {
      this.#link.sending.stop(id);
      this.#sent.delete(id);
      request.timesSent -= 1;
    }
    this.#link.writer.add(FRAME.goodbyeAck, 0, this.#lastId);
    this.#step = 'leaving';
    this.#endWhenLeft();
    const notProcessed = refused.map(([, { request }]) => request);
    this.#calls.onLeave(this, goodbye, notProcessed);
  }

  #finishReply(id: number, request: ClientRequest): void {
    this.#sendReceived(request);
    this.#finish(id);
  }

  /** Lets the server forget the key. A request that was sent once, and answered there, is not on its way anywhere else. */
  #sendReceived({ details: { key, isOwnKey }, timesSent }: ClientRequest): void {
    if (key === undefined || isOwnKey || timesSent !== 1) return;
    this.#link.writer.add(FRAME.received, 0, 0, encodeKey(key));
  }

  #finish(id: number): void {
    this.#hasServed = true;
    this.#sent.get(id)?.request.forgetSignal();
    this.#sent.delete(id);
    // The server may answer before it has the whole request.
    this.#link.sending.stop(id);
    this.#endWhenLeft();
    this.#calls.onRoom(this);
  }

  #cancel(id: number, why: string, cause: unknown): void {
    const sent = this.#sent.get(id);
    if (sent === undefined) return;
    this.#abandon(id);
    sent.incoming?.discard(
      () => new LastCallError('ERR_OUTCOME_UNKNOWN', `The reply was not read to its end: ${why}`, { cause }),
    );
    sent.request.failUnknown(why, cause);
  }

  /** Nobody wants the reply. The server's FAILURE, or the end of the reply, frees the id. */
  #abandon(id: number): void {
    if (!this.#sent.has(id)) return;
    this.#link.sending.stop(id);
    this.#link.writer.add(FRAME.cancel, 0, id);
  }

  #endWhenLeft(): void {
    if (this.#step !== 'leaving' || this.#sent.size > 0) return;
    this.#stopTimer ??= this.#settings.clock.after(LONGEST_LEAVE, () => this.#link.end());
  }
}

function brokenReplyError(cause: LastCallError): LastCallError {
  return new LastCallError('ERR_OUTCOME_UNKNOWN', 'The connection broke in the middle of the reply', { cause });
}
