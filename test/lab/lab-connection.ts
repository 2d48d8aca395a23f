import type { AgentEvent } from './agent-messages.ts';

/** How a connection ended for the client. */
export interface Ended {
  /** All that came, one byte a character (latin1). */
  readonly received: string;
  /** `EOF`, an error's code such as `ECONNRESET`, or `closed here`: by the client's own reset, or because the lab closed. */
  readonly ended: string;
}

export interface ConnectionOrders {
  readonly send: (bytes: string) => void;
  readonly end: () => void;
  readonly reset: () => void;
}

/** One connection of a `LabClient`. None of its promises rejects. */
export class LabConnection {
  readonly #orders: ConnectionOrders;
  readonly #waiting = new Set<{ readonly isMet: () => boolean; readonly resolve: (met: boolean) => void }>();
  #isConnected = false;
  #hasEof = false;
  #received = '';
  #ended: string | undefined;

  /** The client's port; undefined for a Unix socket. */
  readonly localPort: number | undefined;
  /** `connected`, or the code of the error, such as `ECONNREFUSED`. */
  readonly connected: Promise<string>;
  /** Whether the peer's FIN came, once that is known. */
  readonly eof: Promise<boolean>;
  /** How it ended, once both directions have. */
  readonly closed: Promise<Ended>;

  constructor(localPort: number | undefined, orders: ConnectionOrders) {
    this.localPort = localPort;
    this.#orders = orders;
    this.connected = this.#once(() => this.#isConnected).then((met) => (met ? 'connected' : this.#outcome().ended));
    this.eof = this.#once(() => this.#hasEof);
    this.closed = this.#once(() => this.#ended !== undefined).then(() => this.#outcome());
  }

  /** What has come so far. */
  get received(): string {
    return this.#received;
  }

  /** Resolves with true once `text` is in what came, with false when the connection ends without it. */
  receives(text: string): Promise<boolean> {
    return this.#once(() => this.#received.includes(text));
  }

  /** Writes a string, one byte a character (latin1). */
  send(bytes: string): void {
    this.#orders.send(bytes);
  }

  /** Sends FIN. */
  end(): void {
    this.#orders.end();
  }

  /** Sends RST. */
  reset(): void {
    this.#orders.reset();
  }

  /** For the client: takes note of what its agent told. */
  hear(event: AgentEvent): void {
    if (event.event === 'connected') this.#isConnected = true;
    else if (event.event === 'EOF') this.#hasEof = true;
    else if (event.event === 'received') this.#received += event.bytes;
    else if (event.event === 'closed') this.#ended = event.ended;
    this.#settle();
  }

  /** For the client: its agent is gone. */
  abandon(): void {
    this.#ended ??= 'closed here';
    this.#settle();
  }

  #once(isMet: () => boolean): Promise<boolean> {
    return new Promise((resolve) => {
      this.#waiting.add({ isMet, resolve });
      this.#settle();
    });
  }

  #settle(): void {
    for (const waiting of this.#waiting) {
      const met = waiting.isMet();
      if (!met && this.#ended === undefined) continue;
      this.#waiting.delete(waiting);
      waiting.resolve(met);
    }
  }

  #outcome(): Ended {
    return { received: this.#received, ended: this.#ended ?? 'closed here' };
  }
}
