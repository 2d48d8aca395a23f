import { LastCallError } from '../../errors.ts';
import { ClientConnection } from './connection.ts';
import type { ClientConnectionOwner, ClientSettings, ServerGoodbye, UnansweredRequests } from './connection-owner.ts';
import { type Asking, type ChannelReply, ClientRequest } from './request.ts';
import type { LinkEnd } from '../link/link.ts';
import { Patience } from './patience.ts';
import { Redial } from './redial.ts';
import { RequestQueue } from './request-queue.ts';
import type { Transport, TransportEvents } from '../wire/transport.ts';

/** A client's options, checked and complete. Times are in milliseconds. */
export interface ChannelClientSettings<Address> extends ClientSettings {
  readonly addresses: readonly Address[];
  /** For how long a request may wait while no connection can be made. */
  readonly giveUpAfter: number;
  /** How often a request is sent whose outcome is unknown each time. */
  readonly maxSendings: number;
  /** Whether to be connected also while nothing is asked: messages may come. */
  readonly staysConnected: boolean;
  readonly random: () => number;
  onMessage(message: Uint8Array): void;
  onError(error: LastCallError): void;
  /** Begins a connection; `attach` gives what is to hear of it. */
  dial(address: Address, attach: (transport: Transport) => TransportEvents): void;
}

/** A client: its requests, and the connections that they go over, of which one takes new requests. */
export class ChannelClient<Address> implements ClientConnectionOwner {
  readonly #settings: ChannelClientSettings<Address>;
  readonly #queue = new RequestQueue();
  readonly #redial: Redial<Address>;
  readonly #patience: Patience;
  readonly #connections = new Set<ClientConnection>();
  #current: ClientConnection | undefined;
  #step: 'in use' | 'closing' | 'closed' = 'in use';
  #forgetDial: (() => void) | undefined;
  /** What the last try said. */
  #lastError: LastCallError | undefined;
  #onClosed: (() => void) | undefined;

  constructor(settings: ChannelClientSettings<Address>) {
    this.#settings = settings;
    const { addresses, clock, random, giveUpAfter } = settings;
    this.#redial = new Redial(addresses, clock, random);
    this.#patience = new Patience(giveUpAfter, clock, this.#queue, () => this.#giveUp());
    this.#connect(true);
  }

  get isConnected(): boolean {
    return this.#current?.isOpen === true;
  }

  ask(asking: Asking, wantsChunks: boolean): Promise<Uint8Array | ChannelReply> {
    return new Promise((resolve, reject) => {
      const request = new ClientRequest(asking, wantsChunks, resolve, reject);
      if (this.#step !== 'in use') return request.fail(closedError());
      if (asking.signal?.aborted === true) return request.giveUp('it was taken back', asking.signal.reason);
      request.onAbort(() => this.#takeBack(request));
      const current = this.#current;
      if (this.#queue.isEmpty && current?.canSend === true && this.#send(request, current)) return;
      request.waitsSince = this.#settings.clock.now();
      this.#queue.push(request);
      this.#connect();
    });
  }

  /** Takes no more requests; resolves when all have been answered and every connection has ended, at the deadline at the latest. */
  close(deadline: number): Promise<void> {
    if (this.#step === 'closed') return Promise.resolve();
    const closed = new Promise<void>((resolve) => {
      const before = this.#onClosed;
      this.#onClosed = () => {
        before?.();
        resolve();
      };
    });
    this.#step = 'closing';
    // Of several the soonest holds.
    const forget = this.#settings.clock.after(deadline, () => this.#cut(), true);
    void closed.then(forget);
    this.#closeWhenDone();
    return closed;
  }

  opened(connection: ClientConnection): void {
    if (connection === this.#current) this.#sendWaiting();
  }

  hasWaiting(connection: ClientConnection): boolean {
    return connection === this.#current && this.#queue.hasNext();
  }

  maySend(connection: ClientConnection): void {
    if (connection === this.#current && connection.hasServed) this.#noteReached();
    if (connection === this.#current && !this.#queue.isEmpty) this.#sendWaiting();
    if (this.#step === 'closing') this.#closeWhenDone();
  }

  leaving(
    connection: ClientConnection,
    { reason, retryAfter }: ServerGoodbye,
    notProcessed: readonly ClientRequest[],
  ): void {
    if (connection === this.#current) {
      this.#current = undefined;
      // An idle one is welcome again where it was.
      if (reason !== 'idle') this.#redial.noteLeft(retryAfter, connection.hasServed);
    }
    this.#putBack(notProcessed, connection.hasServed);
    this.#goOn();
  }

  ended(connection: ClientConnection, { error }: LinkEnd, { notProcessed, inDoubt }: UnansweredRequests): void {
    if (connection === this.#current) {
      this.#current = undefined;
      if (!connection.hasOpened || error !== undefined) this.#redial.noteFailed();
      this.#noteError(error);
    }
    const again = inDoubt.filter((request) => this.#isToSendAgain(request, connection, error));
    // Whoever had requests in hand was reached.
    if (inDoubt.length > 0) this.#patience.noteReached();
    const waiting = notProcessed.filter(({ isSettled }) => !isSettled);
    this.#putBack(waiting, connection.hasServed || inDoubt.length > 0);
    this.#putBack(again, true);
    this.#goOn();
  }

  closed(connection: ClientConnection): void {
    this.#connections.delete(connection);
    if (this.#step === 'closing') this.#closeWhenDone();
  }

  message(message: Uint8Array): void {
    this.#settings.onMessage(message);
  }

  /** Of one that may have been processed: whether the program allows to send it again, or to ask how it ended. */
  #isToSendAgain(request: ClientRequest, connection: ClientConnection, cause: LastCallError | undefined): boolean {
    if (request.isSettled) return false;
    const { key, idempotent } = request.asking;
    request.doubt ??= { store: connection.memory.store };
    if (!idempotent && key === undefined) request.failUnknown('its connection broke', cause);
    else if (request.sendings >= this.#settings.maxSendings) {
      request.failUnknown(`it was sent ${request.sendings} times, and each time the connection broke`, cause);
    }
    return !request.isSettled;
  }

  #sendWaiting(): void {
    for (let current = this.#current; current?.canSend === true && this.#queue.hasNext(); current = this.#current) {
      const request = this.#queue.take();
      if (request === undefined || !this.#mayAsk(request, current) || this.#send(request, current)) continue;
      this.#queue.putBack([request]);
    }
  }

  /** Sends a request, unless it is settled by then; false where the connection has no room any more, and it has to wait. */
  #send(request: ClientRequest, connection: ClientConnection): boolean {
    try {
      request.prepare();
    } catch (cause) {
      request.giveUp('its payload threw', cause);
    }
    if (request.isSettled) return true;
    if (!connection.canSend) return false;
    connection.send(request);
    if (!connection.idsUsedUp) return true;
    this.#current = undefined;
    connection.leave('ids used up');
    this.#connect();
    return true;
  }

  /** A request with a key whose outcome is in doubt is asked for only where the answer can be known (docs/channel.md). */
  #mayAsk(request: ClientRequest, { memory }: ClientConnection): boolean {
    const { doubt, asking, sentAt = 0 } = request;
    if (doubt === undefined || asking.idempotent) return true;
    if (memory.store !== doubt.store) request.failUnknown('the server that was found remembers nothing of it');
    else if (this.#settings.clock.now() - sentAt > memory.remembers / 2) {
      request.failUnknown(`the server remembers for ${memory.remembers} ms, and half of that is over`);
    }
    return !request.isSettled;
  }

  #takeBack(request: ClientRequest): void {
    for (const connection of this.#connections) connection.cancel(request);
    request.giveUp('it was taken back', request.asking.signal?.reason);
  }

  #goOn(): void {
    this.#connect();
    if (this.#step === 'closing') this.#closeWhenDone();
  }

  /** Makes a connection where there is none, and one is wanted. */
  #connect(isFirst: boolean = false): void {
    const { staysConnected, clock } = this.#settings;
    if (this.#current?.hasOpened === true || this.#step === 'closed') return;
    if (this.#queue.hasNext()) this.#patience.watch();
    if (this.#current !== undefined || this.#forgetDial !== undefined) return;
    const isWanted = isFirst || (staysConnected && this.#step === 'in use');
    if (!isWanted && !this.#queue.hasNext()) return;
    const { address, wait } = this.#redial.next();
    this.#forgetDial = clock.after(
      wait,
      () => {
        this.#forgetDial = undefined;
        this.#dial(address);
      },
      true,
    );
  }

  /** Nobody waits for it: it would only keep the process alive. */
  #stopDialling(): void {
    this.#forgetDial?.();
    this.#forgetDial = undefined;
  }

  #dial(address: Address): void {
    try {
      this.#settings.dial(address, (transport) => {
        const connection = new ClientConnection(transport, this.#settings, this);
        this.#connections.add(connection);
        this.#current = connection;
        return connection.link;
      });
    } catch (cause) {
      this.#redial.noteFailed();
      this.#noteError(new LastCallError('ERR_CHANNEL_BROKEN', 'A connection could not be begun', { cause }));
      this.#goOn();
    }
  }

  #noteError(error: LastCallError | undefined): void {
    this.#lastError = error;
    if (error !== undefined && this.#step === 'in use') this.#settings.onError(error);
  }

  /** Where the server has served nothing they have been waiting all the time. */
  #putBack(requests: readonly ClientRequest[], hasServed: boolean): void {
    const now = this.#settings.clock.now();
    for (const request of requests) if (hasServed || request.waitsSince === 0) request.waitsSince = now;
    this.#queue.putBack(requests);
  }

  /** A server serves: whatever was in vain before is over. */
  #noteReached(): void {
    if (this.#patience.isFresh && this.#redial.isAtEase) return;
    this.#redial.noteServed();
    this.#patience.noteReached();
  }

  /** Requests may have waited for too long. One that is connected, and busy, is not to be given up. */
  #giveUp(): void {
    if (this.#patience.isFresh || this.#current?.isOpen === true) return;
    const why = `no server could be reached for ${this.#settings.giveUpAfter} ms`;
    for (const request of this.#patience.takeOverdue()) request.giveUp(why, this.#lastError);
    if (this.#queue.hasNext()) this.#patience.watch();
    else if (!this.#settings.staysConnected) this.#stopDialling();
    if (this.#step === 'closing') this.#closeWhenDone();
  }

  #closeWhenDone(): void {
    if (this.#step !== 'closing' || this.#queue.hasNext()) return;
    if ([...this.#connections].some(({ underWay }) => underWay > 0)) return;
    for (const connection of this.#connections) connection.leave('closing');
    if (this.#connections.size > 0) return;
    this.#end();
  }

  /** The deadline of `close` has come. */
  #cut(): void {
    if (this.#step === 'closed') return;
    this.#step = 'closed';
    for (const connection of this.#connections) connection.link.destroy();
    for (const request of this.#queue.takeAll()) request.giveUp('the channel was closed');
    this.#end();
  }

  #end(): void {
    this.#step = 'closed';
    this.#stopDialling();
    this.#patience.stop();
    this.#onClosed?.();
  }
}

function closedError(): LastCallError {
  return new LastCallError('ERR_CHANNEL_CLOSED', 'The channel is closed');
}
