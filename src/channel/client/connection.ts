import { LastCallError } from '../../errors.ts';
import type { ClientConnectionOwner, ClientSettings } from './connection-owner.ts';
import type { ClientRequest } from './request.ts';
import { decodeGoodbye, encodeGoodbye } from '../wire/goodbye.ts';
import { failRequest, failureWord, outcomeUnknown } from './fail-request.ts';
import { END, FRAME, type GoodbyeReason, KEYED, NOTHING, readCodeAndText } from '../wire/frames.ts';
import type { Hello } from '../wire/hello.ts';
import { IncomingPayload } from '../flow/incoming-payload.ts';
import { encodeKey, LONGEST_KEY } from '../wire/key.ts';
import { Link, type LinkEnd, type LinkOwner } from '../link/link.ts';
import { RequestTable } from '../link/request-table.ts';
import type { Transport } from '../wire/transport.ts';

/** A request that is under way on this connection. */
interface Sent {
  readonly request: ClientRequest;
  /** Its reply, where it does not come in one frame. */
  incoming: IncomingPayload | undefined;
}

// A server that was answered its farewell ends the connection when it owes nothing; else we do, after so many milliseconds.
const LEFT_BEHIND = 10_000;

/** The client's side of one connection. */
export class ClientConnection implements LinkOwner {
  readonly link: Link;
  readonly #settings: ClientSettings;
  readonly #owner: ClientConnectionOwner;
  readonly #sent = new RequestTable<Sent>();
  #lastId = 0;
  #step: 'greeting' | 'open' | 'leaving' | 'over' = 'greeting';
  #goodbye: 'not said' | 'said' | 'answered' = 'not said';
  #hasHeardGoodbye = false;
  #hasServed = false;
  #peer: Hello | undefined;
  #forget: (() => void) | undefined;

  constructor(transport: Transport, settings: ClientSettings, owner: ClientConnectionOwner) {
    this.#settings = settings;
    this.#owner = owner;
    this.link = new Link(transport, settings.clock, settings.link, this);
  }

  /** What an ERROR of ours says: a server has no requests that we would accept. */
  readonly lastAccepted = 0;

  get isOpen(): boolean {
    return this.#step === 'open';
  }

  get hasOpened(): boolean {
    return this.#peer !== undefined;
  }

  /** Where the server remembers outcomes, and for how many milliseconds. */
  get memory(): { readonly store: string; readonly remembers: number } {
    return { store: this.#peer?.store ?? '', remembers: this.#peer?.remembers ?? 0 };
  }

  /** Whether the server has answered anything on it. */
  get hasServed(): boolean {
    return this.#hasServed;
  }

  get underWay(): number {
    return this.#sent.size;
  }

  get canSend(): boolean {
    return this.#hasPlace && this.#hasRoom;
  }

  /** Whether the server serves one more at once. */
  get #hasPlace(): boolean {
    return this.#step === 'open' && this.#sent.size < (this.#peer?.maxRequests ?? 0) && !this.idsUsedUp;
  }

  get #hasRoom(): boolean {
    return this.link.sending.room > LONGEST_KEY;
  }

  get idsUsedUp(): boolean {
    return this.#lastId >= this.#settings.lastId;
  }

  /** Sends a request that is prepared; only where `canSend`. */
  send(request: ClientRequest): void {
    const { key } = request.asking;
    const prefix = key === undefined ? NOTHING : encodeKey(key);
    const payload = request.takePayload();
    this.#lastId += 1;
    const id = this.#lastId;
    request.sendings += 1;
    if (key !== undefined) request.sentAt ??= this.#settings.clock.now();
    this.#sent.add(id, { request, incoming: undefined });
    this.link.sending.send(FRAME.request, key === undefined ? 0 : KEYED, id, payload, prefix, (error) => {
      if (error !== undefined) this.#takeBack(id, 'its payload threw', error);
    });
  }

  /** The program has taken a request back: its outcome is nobody's any more, but the server may stop. */
  cancel(request: ClientRequest): void {
    const id = this.#sent.entries().find(([, sent]) => sent.request === request)?.[0];
    if (id !== undefined) this.#takeBack(id, 'it was taken back', request.asking.signal?.reason);
  }

  /** Says our own farewell: what is under way goes on, and the server ends the connection after it. */
  leave(reason: GoodbyeReason): void {
    if (this.#step === 'greeting') return this.link.destroy();
    if (this.#step !== 'open') return;
    this.#step = 'leaving';
    this.#goodbye = 'said';
    this.link.writer.add(FRAME.goodbye, 0, this.#lastId, encodeGoodbye({ reason }));
    this.#endWhenLeft();
  }

  opened(peer: Hello): void {
    if (peer.maxRequests === 0) return this.link.fail('protocol', 'The server serves no requests');
    this.#peer = peer;
    this.#step = 'open';
    this.#owner.opened(this);
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
        this.link.consumed(payload.length);
        return this.#owner.message(payload);
      case FRAME.goodbye:
        return this.#takeGoodbye(id, payload);
      case FRAME.goodbyeAck:
        if (this.#goodbye !== 'said' || id !== this.#lastId) {
          this.link.fail('protocol', 'An answer to a farewell came that was not said, or names another last request');
        } else this.#goodbye = 'answered';
        return;
      default:
        this.link.fail('protocol', `A frame of kind ${kind} came, which no server sends`);
    }
  }

  get awaitsRoom(): boolean {
    return this.#owner.hasWaiting(this) && this.#hasPlace && !this.#hasRoom;
  }

  maySend(): void {
    this.#owner.maySend(this);
  }

  ended(end: LinkEnd): void {
    this.#step = 'over';
    this.#forget?.();
    const { lastAccepted = Number.POSITIVE_INFINITY } = end;
    const error =
      end.error ?? new LastCallError('ERR_CHANNEL_BROKEN', 'The server ended the connection without a farewell');
    const notProcessed: ClientRequest[] = [];
    const inDoubt: ClientRequest[] = [];
    for (const [id, { request, incoming }] of this.#sent.entries()) {
      incoming?.fail(outcomeUnknown(error));
      if (request.isSettled) request.forgetSignal();
      if (id > lastAccepted) request.sendings -= 1;
      (id > lastAccepted ? notProcessed : inDoubt).push(request);
    }
    this.#sent.clear();
    this.#owner.ended(this, { ...end, error }, { notProcessed, inDoubt });
  }

  closed(): void {
    this.#owner.closed(this);
  }

  #takeReply(id: number, flags: number, payload: Uint8Array): void {
    const sent = this.#sent.get(id);
    if (sent === undefined || sent.incoming !== undefined) {
      return this.link.fail('protocol', `A reply came for request ${id}, which has none to come`);
    }
    const { request } = sent;
    const hasEnded = (flags & END) !== 0;
    if (hasEnded && !request.wantsChunks) {
      this.link.consumed(payload.length);
      this.#finishReply(id, request);
      request.done(payload);
      return;
    }
    const incoming = new IncomingPayload(id, payload, hasEnded, this.link, () => this.#abandon(id));
    sent.incoming = incoming;
    if (request.isSettled) incoming.discard();
    else if (request.wantsChunks) request.begun(incoming);
    else this.#collect(id, request, incoming);
    if (hasEnded) this.#finishReply(id, request);
  }

  /** A long reply that the program wants whole. */
  #collect(id: number, request: ClientRequest, incoming: IncomingPayload): void {
    incoming.bytes(this.#settings.maxPayload).then(
      (reply) => request.done(reply),
      (error: unknown) => {
        // The connection's end is for its owner to judge: it may be sent again.
        if (!(error instanceof LastCallError) || error.code === 'ERR_OUTCOME_UNKNOWN') return;
        request.fail(error);
        this.#takeBack(id, error.message, error);
      },
    );
  }

  #takeMore(id: number, flags: number, payload: Uint8Array): void {
    const sent = this.#sent.get(id);
    if (sent?.incoming === undefined)
      return this.link.fail('protocol', `More of a reply to ${id} came, which did not begin`);
    if (!sent.incoming.push(payload, (flags & END) !== 0)) {
      return this.link.fail('limit', `More of the reply to ${id} came than was granted`);
    }
    if ((flags & END) !== 0) this.#finishReply(id, sent.request);
  }

  #takeFailure(id: number, payload: Uint8Array): void {
    const sent = this.#sent.get(id);
    const failure = readCodeAndText(payload);
    if (sent === undefined || failure === undefined) {
      return this.link.fail('protocol', `A failure came for request ${id}, which has none to come`);
    }
    const { request, incoming } = sent;
    const how = failureWord(failure.code);
    if (how === 'failed') this.#noteReceived(request);
    this.#finish(id);
    failRequest(request, incoming, how, failure.text);
  }

  #takeGoodbye(lastAccepted: number, payload: Uint8Array): void {
    const words = decodeGoodbye(payload);
    if (words === undefined || lastAccepted > this.#lastId || this.#hasHeardGoodbye) {
      const what = `its last request is ${lastAccepted} of ${this.#lastId}`;
      return this.link.fail('protocol', `A farewell came that is wrong: ${what}`);
    }
    this.#hasHeardGoodbye = true;
    const refused = this.#sent.entries().filter(([id]) => id > lastAccepted);
    const answered = refused.find(([, { incoming }]) => incoming !== undefined)?.[0];
    if (answered !== undefined) return this.link.fail('protocol', `Request ${answered} was answered, and not accepted`);
    for (const [id, { request }] of refused) {
      this.link.sending.stop(id);
      this.#sent.delete(id);
      request.sendings -= 1;
    }
    this.link.writer.add(FRAME.goodbyeAck, 0, this.#lastId);
    this.#step = 'leaving';
    this.#endWhenLeft();
    const returned = refused.map(([, { request }]) => request);
    this.#owner.leaving(this, words, returned);
  }

  /** The reply has come to its end. */
  #finishReply(id: number, request: ClientRequest): void {
    this.#noteReceived(request);
    this.#finish(id);
  }

  /** The server need not remember it any more: what was sent once, and came back there, is nowhere else on its way. */
  #noteReceived({ asking: { key, isOwnKey }, sendings }: ClientRequest): void {
    if (key === undefined || isOwnKey || sendings !== 1) return;
    this.link.writer.add(FRAME.received, 0, 0, encodeKey(key));
  }

  #finish(id: number): void {
    this.#hasServed = true;
    this.#sent.get(id)?.request.forgetSignal();
    this.#sent.delete(id);
    // The server has answered before it had everything.
    this.link.sending.stop(id);
    this.#endWhenLeft();
    this.#owner.maySend(this);
  }

  #takeBack(id: number, why: string, cause: unknown): void {
    const sent = this.#sent.get(id);
    if (sent === undefined) return;
    this.#abandon(id);
    sent.incoming?.discard(
      () => new LastCallError('ERR_OUTCOME_UNKNOWN', `The reply was not read to its end: ${why}`, { cause }),
    );
    sent.request.failUnknown(why, cause);
  }

  /** Nobody wants the reply: the server need not make the rest of it. It says so once more, and the id is free. */
  #abandon(id: number): void {
    if (!this.#sent.has(id)) return;
    this.link.sending.stop(id);
    this.link.writer.add(FRAME.cancel, 0, id);
  }

  #endWhenLeft(): void {
    if (this.#step !== 'leaving' || this.#sent.size > 0) return;
    this.#forget ??= this.#settings.clock.after(LEFT_BEHIND, () => this.link.end());
  }
}
