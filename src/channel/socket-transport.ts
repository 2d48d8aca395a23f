import type net from 'node:net';
import type { Transport, TransportEvents } from './transport.ts';

/** A socket as a channel sees it. */
export class SocketTransport implements Transport {
  readonly #socket: net.Socket;

  constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  get unsent(): number {
    return this.#socket.writableLength;
  }

  write(chunks: readonly Uint8Array[]): void {
    const socket = this.#socket;
    if (!socket.writable) return;
    const [only] = chunks;
    if (chunks.length === 1 && only !== undefined) {
      socket.write(only);
      return;
    }
    // One writev(2) for all.
    socket.cork();
    for (const chunk of chunks) socket.write(chunk);
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

/** Tells of what happens on a socket from now on. */
export function listenTo(socket: net.Socket, events: TransportEvents): void {
  let cause: Error | undefined;
  socket.on('data', (chunk: Buffer) => events.receive(chunk));
  socket.on('drain', () => events.drained());
  socket.on('end', () => events.peerEnded());
  socket.on('error', (error) => {
    cause ??= error;
  });
  socket.on('close', () => events.closed(cause));
}
