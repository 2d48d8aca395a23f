import { LastCallError } from '../../errors.ts';
import { Link, type LinkEnd, type LinkOwner } from '../link/link.ts';
import { FRAME, type GoodbyeReason } from '../wire/frames.ts';
import type { Hello } from '../wire/hello.ts';
import { decodeGoodbye, encodeGoodbye, LONGEST_KEY, type ReceivedGoodbye } from '../wire/payloads.ts';
import type { Transport } from '../wire/transport.ts';
import type { ClientSettings } from './options.ts';
import type { ClientRequest } from './request.ts';
import type { ServerMemory } from './send-again.ts';
import { SentRequests } from './sent-requests.ts';

type Requests = readonly ClientRequest[];

/** What the connections of a client call. */
export interface ConnectionCalls {
  /** Whether requests wait for this connection. */
  readonly hasWaiting: (connection: ClientConnection) => boolean;
  /** Requests can be sent on it. */
  readonly onOpen: (connection: ClientConnection) => void;
  /** More can be sent on it than before. */
  readonly onRoom: (connection: ClientConnection) => void;
  readonly onMessage: (message: Uint8Array) => void;
  /** The server takes no more requests on it. */
  readonly onLeave: (connection: ClientConnection, goodbye: ReceivedGoodbye, notProcessed: Requests) => void;
  /** It has ended. The requests `inDoubt` may have been processed. */
  readonly onEnd: (
    connection: ClientConnection,
    error: LastCallError,
    requests: { readonly notProcessed: Requests; readonly inDoubt: Requests },
  ) => void;
  /** Both sides have ended. The last call. */
  readonly onClosed: (connection: ClientConnection) => void;
}

// After a farewell the server ends the connection when it has sent all replies. If it does not, we end it after this, in ms.
const LONGEST_LEAVE = 10_000;

/** The client's side of one connection. */
export class ClientConnection implements LinkOwner {
  readonly #link: Link;
  readonly #settings: ClientSettings;
  readonly #calls: ConnectionCalls;
  readonly #sent: SentRequests;
  #lastId = 0;
  #step: 'greeting' | 'open' | 'leaving' | 'ended' = 'greeting';
  #goodbye: 'not sent' | 'sent' | 'answered' = 'not sent';
  #hasReceivedGoodbye = false;
  #peer: Hello | undefined;
  #stopTimer: (() => void) | undefined;

  constructor(transport: Transport, settings: ClientSettings, calls: ConnectionCalls) {
    this.#settings = settings;
    this.#calls = calls;
    this.#link = new Link(transport, settings.clock, settings.link, this);
    this.#sent = new SentRequests(this.#link, settings.link.maxPayload, () => {
      this.#endWhenLeft();
      calls.onRoom(this);
    });
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
    return this.#sent.hasServed;
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
    if (request.details.key !== undefined) request.sentAt ??= this.#settings.clock.now();
    this.#lastId += 1;
    this.#sent.send(this.#lastId, request);
  }

  /** The program has cancelled a request. */
  cancel(request: ClientRequest): void {
    this.#sent.cancel(request);
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
        return this.#sent.takeReply(id, flags, payload);
      case FRAME.data:
        return this.#sent.takeMore(id, flags, payload);
      case FRAME.failure:
        return this.#sent.takeFailure(id, payload);
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
    this.#calls.onEnd(this, error, this.#sent.end(error, lastAccepted));
  }

  closed(): void {
    this.#calls.onClosed(this);
  }

  #takeGoodbye(lastAccepted: number, payload: Uint8Array): void {
    const goodbye = decodeGoodbye(payload);
    if (goodbye === undefined) return this.#link.fail('protocol', 'A GOODBYE is cut off');
    if (this.#hasReceivedGoodbye) return this.#link.fail('protocol', 'A second GOODBYE came');
    if (lastAccepted > this.#lastId) {
      return this.#link.fail('protocol', `A GOODBYE names request ${lastAccepted} of ${this.#lastId}`);
    }
    this.#hasReceivedGoodbye = true;
    const refused = this.#sent.refuse(lastAccepted);
    if (typeof refused === 'number') {
      return this.#link.fail('protocol', `Request ${refused} was answered, and not accepted`);
    }
    this.#link.writer.add(FRAME.goodbyeAck, 0, this.#lastId);
    this.#step = 'leaving';
    this.#endWhenLeft();
    this.#calls.onLeave(this, goodbye, refused);
  }

  #endWhenLeft(): void {
    if (this.#step !== 'leaving' || this.#sent.size > 0) return;
    this.#stopTimer ??= this.#settings.clock.after(LONGEST_LEAVE, () => this.#link.end());
  }
}
