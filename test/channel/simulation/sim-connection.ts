import type { Transport, TransportEvents } from '../../../src/channel/wire/transport.ts';

/** One end of a simulated connection; its bytes go when the test says so, cut where it says so. */
export class SimEnd implements Transport {
  events: TransportEvents | undefined;
  /** The other end. */
  peer: SimEnd | undefined;
  isPaused = false;
  /** What was written and has not come to the other end. */
  #wire: Uint8Array = new Uint8Array(0);
  #fin: 'not said' | 'said' | 'delivered' = 'not said';
  #isClosed = false;
  #isCut = false;

  get unsent(): number {
    return this.#wire.length;
  }

  /** Whether anything is to be delivered from this end. */
  get hasMore(): boolean {
    const peer = this.peer;
    if (this.#isCut || peer === undefined || peer.#isClosed || peer.isPaused || peer.events === undefined) return false;
    return this.#wire.length > 0 || this.#fin === 'said';
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  listen(events: TransportEvents): void {
    this.events = events;
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.#fin === 'not said' && !this.#isClosed) this.#wire = Buffer.concat([this.#wire, ...chunks]);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    if (this.#fin === 'not said') this.#fin = 'said';
  }

  /** As a reset: the other end hears of it when it is told. */
  destroy(): void {
    if (this.#isClosed) return;
    this.#isCut = true;
    if (this.peer !== undefined) this.peer.#isCut = true;
    this.#close(undefined);
  }

  /** Delivers so many bytes, or the FIN when there are none. */
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

  /** The wire is cut: what is on it is lost, and neither end hears of it before it is told. */
  cut(): void {
    this.#isCut = true;
    if (this.peer !== undefined) this.peer.#isCut = true;
  }

  /** Whether it is cut, and this end does not know. */
  get isToBeTold(): boolean {
    return this.#isCut && !this.#isClosed && this.events !== undefined;
  }

  tell(): void {
    if (this.isToBeTold) this.#close(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
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

/** Two ends, joined. */
export function makeConnection(): { readonly client: SimEnd; readonly server: SimEnd } {
  const client = new SimEnd();
  const server = new SimEnd();
  client.peer = server;
  server.peer = client;
  return { client, server };
}
