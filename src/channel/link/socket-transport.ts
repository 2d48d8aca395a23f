import type net from 'node:net';
import type { Transport, TransportEvents } from '../wire/transport.ts';

/** Carries a channel over a socket. */
export class SocketTransport implements Transport {
  readonly #socket: net.Socket;
  #events: TransportEvents | undefined;
  // Not 'drain': it comes only where more waited than Node's own high-water mark, which may be more than ours.
  readonly #onWritten = (): void => {
    if (this.#socket.writableLength === 0) this.#events?.drained();
  };

  constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  get unsent(): number {
    return this.#socket.writableLength;
  }

  listen(events: TransportEvents): void {
    this.#events = events;
    const socket = this.#socket;
    let cause: Error | undefined;
    socket.on('data', (chunk: Buffer) => events.receive(chunk));
    // A server with `pauseOnConnect` has paused the socket, and a 'data' listener does not resume it then.
    socket.resume();
    socket.on('end', () => events.peerEnded());
    socket.on('error', (error) => {
      cause ??= error;
    });
    socket.on('close', () => {
      this.#events = undefined;
      events.closed(cause);
    });
  }

  write(chunks: readonly Uint8Array[]): void {
    const socket = this.#socket;
    if (!socket.writable) return;
    const [only] = chunks;
    if (chunks.length === 1 && only !== undefined) {
      socket.write(only, this.#onWritten);
      return;
    }
    // One writev(2) for all chunks.
    socket.cork();
    for (const chunk of chunks) socket.write(chunk, this.#onWritten);
    socket.uncork();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
