import { within } from '../harness/wait.ts';
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

/** Longer than any connection of a test takes, its repeated packets included, in milliseconds. */
const LIMIT = 120_000;

/** One connection of a `LabClient`. Its promises reject only after two minutes. */
export class LabConnection {
  readonly #orders: ConnectionOrders;
  readonly #waiting = new Set<{ readonly isMet: () => boolean; readonly resolve: (met: boolean) => void }>();
  #isConnected = false;
  #hasEof = false;
  #received = '';
  #ended: string | undefined;

  /** The client's port; undefined for a Unix socket. */
  readonly localPort: number | undefined;

  constructor(localPort: number | undefined, orders: ConnectionOrders) {
    this.localPort = localPort;
    this.#orders = orders;
  }

  /** `connected`, or the code of the error, such as `ECONNREFUSED`. */
  get connected(): Promise<string> {
    const known = this.#once('is connected or refused', () => this.#isConnected);
    return known.then((met) => (met ? 'connected' : this.#outcome().ended));
  }

  /** Whether the peer's FIN came, once that is known. */
  get eof(): Promise<boolean> {
    return this.#once("hears the peer's FIN", () => this.#hasEof);
  }

  /** How it ended, once both directions have. */
  get closed(): Promise<Ended> {
    return this.#once('ends', () => this.#ended !== undefined).then(() => this.#outcome());
  }

  /** What has come so far. */
  get received(): string {
    return this.#received;
  }

  /** Resolves with true once `text` is in what came, with false when the connection ends without it. */
  receives(text: string): Promise<boolean> {
    return this.#once(`receives ${JSON.stringify(text.slice(0, 40))}`, () => this.#received.includes(text));
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

  #once(what: string, isMet: () => boolean): Promise<boolean> {
    const met = new Promise<boolean>((resolve) => {
      this.#waiting.add({ isMet, resolve });
      this.#settle();
    });
    return within(`until connection ${this.localPort ?? 'of a Unix socket'} ${what}`, met, LIMIT);
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
