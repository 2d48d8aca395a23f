import type { Transport, TransportEvents } from '../../../src/channel/wire/transport.ts';

/** One end of a simulated connection. The test decides when its bytes are delivered, and where they are cut. */
export class SimEnd implements Transport {
  events: TransportEvents | undefined;
  /** The other end. */
  peer: SimEnd | undefined;
  isPaused = false;
  /** The bytes that were written and not delivered. */
  #wire: Uint8Array = new Uint8Array(0);
  #fin: 'not sent' | 'sent' | 'delivered' = 'not sent';
  #isClosed = false;
  #isCut = false;

  get unsent(): number {
    return this.#wire.length;
  }

  /** Whether this end has anything to deliver. */
  get hasMore(): boolean {
    const peer = this.peer;
    if (this.#isCut || peer === undefined || peer.#isClosed || peer.isPaused || peer.events === undefined) return false;
    return this.#wire.length > 0 || this.#fin === 'sent';
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  listen(events: TransportEvents): void {
    this.events = events;
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.#fin === 'not sent' && !this.#isClosed) this.#wire = Buffer.concat([this.#wire, ...chunks]);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    if (this.#fin === 'not sent') this.#fin = 'sent';
  }

  /** Like a reset. The other end notices it later. */
  destroy(): void {
    if (this.#isClosed) return;
    this.#isCut = true;
    if (this.peer !== undefined) this.peer.#isCut = true;
    this.#close(undefined);
  }

  /** Delivers some bytes, or the FIN where there are none. */
  deliver(bytes: number): void {
    if (!this.hasMore) return;
    const peer = this.peer!;
    if (this.#wire.length > 0) {
      const chunk = this.#wire.slice(0, bytes);
      this.#wire = this.#wire.slice(bytes);
      peer.events!.receive(chunk);
      if (this.#wire.length === 0 && !this.#isClosed) this.events!.drained();
      return;
    }
    this.#fin = 'delivered';
    peer.events!.peerEnded();
    if (peer.#fin !== 'delivered') return;
    this.#close(undefined);
    peer.#close(undefined);
  }

  /** Cuts the wire. What is on it is lost, and both ends notice it later. */
  cut(): void {
    this.#isCut = true;
    if (this.peer !== undefined) this.peer.#isCut = true;
  }

  /** Whether the wire is cut, and this end has not noticed. */
  get mustNotice(): boolean {
    return this.#isCut && !this.#isClosed && this.events !== undefined;
  }

  notice(): void {
    if (this.mustNotice) this.#close(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
  }

  refuse(): void {
    this.#close(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
  }

  #close(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    setImmediate(() => this.events?.closed(error));
  }
}

/** Two joined ends. */
export function makeConnection(): { readonly client: SimEnd; readonly server: SimEnd } {
  const client = new SimEnd();
  const server = new SimEnd();
  client.peer = server;
  server.peer = client;
  return { client, server };
}
