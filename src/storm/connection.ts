import net from 'node:net';
import type { Ending } from './outcome.ts';

export type Target = { readonly host: string; readonly port: number } | { readonly path: string };

export interface ConnectionEvents {
  onEstablished(): void;
  onBytes(chunk: Buffer): void;
  /** Called at most once, and never after `drop`. */
  onEnded(ending: Ending, message: string): void;
  /** The descriptor is closed. Always called once. */
  onClosed(): void;
}

/** One client's connection. Unlike a stream of Node, it reports its end once, and by the kernel's error. */
export class Connection {
  readonly #socket: net.Socket;
  readonly #isTcp: boolean;
  #dropped = false;

  constructor(target: Target, localAddress: string | undefined, events: ConnectionEvents) {
    this.#isTcp = 'port' in target;
    // With allowHalfOpen Node does not answer the peer's FIN by itself, so that #peerIsGone still works.
    this.#socket = net.connect({
      ...target,
      ...(localAddress === undefined ? {} : { localAddress }),
      allowHalfOpen: true,
      autoSelectFamily: false,
      noDelay: true,
    });
    this.#socket.on('connect', () => this.#dropped || events.onEstablished());
    this.#socket.on('data', (chunk) => this.#dropped || events.onBytes(chunk));
    this.#socket.on('end', () => {
      if (this.#peerIsGone()) this.#end(events, 'ECONNRESET', 'reset behind the last bytes');
      else this.#end(events, 'EOF', 'EOF');
    });
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#end(events, error.code ?? error.name, error.message);
    });
    this.#socket.on('close', () => events.onClosed());
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Closes at once. The only event after that is `onClosed`. */
  drop(): void {
    this.#dropped = true;
    this.#socket.destroy();
  }

  #end(events: ConnectionEvents, ending: Ending, message: string): void {
    if (this.#dropped) return;
    this.drop();
    events.onEnded(ending, message);
  }

  /**
   * Distinguishes a reset from an EOF. libuv reports EOF for both if data and the reset come in one poll (POLLHUP after a
   * partial read). But a socket that was reset has no peer, and getpeername(2) fails with ENOTCONN.
   */
  #peerIsGone(): boolean {
    return this.#isTcp && this.#socket.remoteAddress === undefined;
  }
}
