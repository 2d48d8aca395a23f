import { LastCallError } from '../../errors.ts';
import type { Transport } from '../wire/transport.ts';
import { ClientConnection, type ConnectionCalls } from './connection.ts';
import { GiveUpTimer } from './give-up-timer.ts';
import type { ChannelAddress, ClientSettings } from './options.ts';
import { Redial } from './redial.ts';
import { type ChannelReply, ClientRequest, type RequestDetails } from './request.ts';
import { RequestQueue } from './request-queue.ts';
import { isAcceptable, isSentAgain } from './send-again.ts';

/** A client: its requests, and its connections. The current connection takes new requests, the others end. */
export class ChannelClient {
  readonly #settings: ClientSettings;
  readonly #queue = new RequestQueue();
  readonly #redial: Redial;
  readonly #giveUpTimer: GiveUpTimer;
  readonly #connections = new Set<ClientConnection>();
  readonly #calls: ConnectionCalls;
  #current: ClientConnection | undefined;
  #step: 'in use' | 'closing' | 'closed' = 'in use';
  #stopDialTimer: (() => void) | undefined;
  /** The error of the last attempt to connect. */
  #lastError: LastCallError | undefined;
  #onClosed: (() => void) | undefined;

  constructor(settings: ClientSettings) {
    this.#settings = settings;
    const { addresses, clock, random, giveUpAfter } = settings;
    this.#redial = new Redial(addresses, clock, random);
    this.#giveUpTimer = new GiveUpTimer(giveUpAfter, clock, this.#queue, () => this.#giveUp());
    this.#calls = {
      hasWaiting: (connection) => connection === this.#current && this.#queue.hasNext(),
      onOpen: (connection) => {
        if (connection === this.#current) this.#sendWaiting();
      },
      onRoom: (connection) => this.#useRoom(connection),
      onMessage: settings.onMessage,
      onLeave: (connection, { reason, retryAfter }, notProcessed) => {
        if (connection === this.#current) {
          this.#current = undefined;
          // After `idle` the client may come back to the same address at once.
          if (reason !== 'idle') this.#redial.noteLeft(retryAfter, connection.hasServed);
        }
        this.#putBack(notProcessed, connection.hasServed);
        this.#goOn();
      },
      onEnd: (connection, error, { notProcessed, inDoubt }) => this.#takeOver(connection, error, notProcessed, inDoubt),
      onClosed: (connection) => {
        this.#connections.delete(connection);
        this.#closeWhenDone();
      },
    };
    this.#connect(true);
  }

  get isConnected(): boolean {
    return this.#current?.isOpen === true;
  }

  request(details: RequestDetails, wantsChunks: boolean): Promise<Uint8Array | ChannelReply> {
    return new Promise((resolve, reject) => {
      const request = new ClientRequest(details, wantsChunks, resolve, reject);
      if (this.#step !== 'in use') return request.fail(closedError());
      if (details.signal?.aborted === true) return request.giveUp('it was cancelled', details.signal.reason);
      request.onAbort(() => this.#cancel(request));
      const current = this.#current;
      if (this.#queue.isEmpty && current?.canSend === true && this.#send(request, current)) return;
      request.waitsSince = this.#settings.clock.now();
      this.#queue.push(request);
      this.#connect();
    });
  }

  /** Takes no more requests. Resolves when all are answered and every connection has ended, at the deadline at the latest. */
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
    // Of several deadlines the soonest holds.
    const stopTimer = this.#settings.clock.after(deadline, () => this.#cut(), true);
    void closed.then(stopTimer);
    this.#closeWhenDone();
    return closed;
  }

  #useRoom(connection: ClientConnection): void {
    if (connection === this.#current && connection.hasServed) this.#noteServed();
    if (connection === this.#current && !this.#queue.isEmpty) this.#sendWaiting();
    this.#closeWhenDone();
  }

  /** A connection has ended. Its requests go back to the queue, except those that must not be sent again. */
  #takeOver(
    connection: ClientConnection,
    error: LastCallError,
    notProcessed: readonly ClientRequest[],
    inDoubt: readonly ClientRequest[],
  ): void {
    if (connection === this.#current) {
      this.#current = undefined;
      this.#redial.noteFailed();
      this.#noteError(error);
    }
    const { maxSendings } = this.#settings;
    const again = inDoubt.filter((request) => isSentAgain(request, connection.memory, maxSendings, error));
    if (inDoubt.length > 0) this.#giveUpTimer.noteReached();
    const waiting = notProcessed.filter(({ isSettled }) => !isSettled);
    this.#putBack(waiting, connection.hasServed || inDoubt.length > 0);
    this.#putBack(again, true);
    this.#goOn();
  }

  #sendWaiting(): void {
    for (let current = this.#current; current?.canSend === true && this.#queue.hasNext(); current = this.#current) {
      const request = this.#queue.take();
      if (request === undefined || !isAcceptable(request, current.memory, this.#settings.clock.now())) continue;
      if (!this.#send(request, current)) this.#queue.putBack([request]);
    }
  }

  /** Sends a request, unless it is settled by then. False where the connection has no room any more. */
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

  #cancel(request: ClientRequest): void {
    for (const connection of this.#connections) connection.cancel(request);
    request.giveUp('it was cancelled', request.details.signal?.reason);
  }

  #goOn(): void {
    this.#connect();
    this.#closeWhenDone();
  }

  /** Makes a connection where there is none and one is wanted. */
  #connect(isFirst: boolean = false): void {
    const { staysConnected, clock } = this.#settings;
    if (this.#current?.hasOpened === true || this.#step === 'closed') return;
    if (this.#queue.hasNext()) this.#giveUpTimer.start();
    if (this.#current !== undefined || this.#stopDialTimer !== undefined) return;
    const isWanted = isFirst || (staysConnected && this.#step === 'in use');
    if (!isWanted && !this.#queue.hasNext()) return;
    const { address, wait } = this.#redial.next();
    const dial = (): void => {
      this.#stopDialTimer = undefined;
      this.#dial(address);
    };
    this.#stopDialTimer = clock.after(wait, dial, true);
  }

  /** The timer would keep the process running, and nobody waits for it. */
  #stopDialling(): void {
    this.#stopDialTimer?.();
    this.#stopDialTimer = undefined;
  }

  #dial(address: ChannelAddress): void {
    let transport: Transport;
    try {
      transport = this.#settings.dial(address);
    } catch (cause) {
      this.#redial.noteFailed();
      this.#noteError(new LastCallError('ERR_CHANNEL_BROKEN', 'A connection could not be begun', { cause }));
      return this.#goOn();
    }
    this.#current = new ClientConnection(transport, this.#settings, this.#calls);
    this.#connections.add(this.#current);
  }

  #noteError(error: LastCallError): void {
    this.#lastError = error;
    if (this.#step === 'in use') this.#settings.onError(error);
  }

  /** Returns requests to the queue. Where the server has answered nothing, they have waited all the time. */
  #putBack(requests: readonly ClientRequest[], hasServed: boolean): void {
    const now = this.#settings.clock.now();
    for (const request of requests) if (hasServed || request.waitsSince === 0) request.waitsSince = now;
    this.#queue.putBack(requests);
  }

  /** A server has answered: earlier failures do not count any more. */
  #noteServed(): void {
    if (this.#giveUpTimer.isReachable && this.#redial.hasNoFailures) return;
    this.#redial.noteServed();
    this.#giveUpTimer.noteReached();
  }

  /** Gives up the requests that have waited for too long, but not those that wait for a connected, busy server. */
  #giveUp(): void {
    if (this.#giveUpTimer.isReachable || this.isConnected) return;
    const why = `no server could be reached for ${this.#settings.giveUpAfter} ms`;
    for (const request of this.#giveUpTimer.takeOverdue()) request.giveUp(why, this.#lastError);
    if (this.#queue.hasNext()) this.#giveUpTimer.start();
    else if (!this.#settings.staysConnected) this.#stopDialling();
    this.#closeWhenDone();
  }

  #closeWhenDone(): void {
    if (this.#step !== 'closing' || this.#queue.hasNext()) return;
    if ([...this.#connections].some(({ underWay }) => underWay > 0)) return;
    for (const connection of this.#connections) connection.leave('closing');
    if (this.#connections.size === 0) this.#end();
  }

  /** The deadline of `close` has passed. */
  #cut(): void {
    if (this.#step === 'closed') return;
    this.#step = 'closed';
    for (const connection of this.#connections) connection.destroy();
    for (const request of this.#queue.takeAll()) request.giveUp('the channel was closed');
    this.#end();
  }

  #end(): void {
    this.#step = 'closed';
    this.#stopDialling();
    this.#giveUpTimer.stop();
    this.#onClosed?.();
  }
}

function closedError(): LastCallError {
  return new LastCallError('ERR_CHANNEL_CLOSED', 'The channel is closed');
}
