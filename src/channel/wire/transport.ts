/** What carries the bytes of a connection: a socket, or a simulated one in the tests. */
export interface Transport {
  /** Reports to `events` from now on, never before it returns. */
  listen(events: TransportEvents): void;
  /** Writes these chunks, in this order. They must not change until they have been sent. */
  write(chunks: readonly Uint8Array[]): void;
  /** Bytes that wait in this process to be written. */
  readonly unsent: number;
  /** Stops reading until `resume`, so that the peer waits. */
  pause(): void;
  resume(): void;
  /** Ends our side after everything has been written. */
  end(): void;
  /** Ends both sides now. */
  destroy(): void;
}

/** What happens on a connection. */
export interface TransportEvents {
  receive(chunk: Uint8Array): void;
  /** Everything has been written. */
  drained(): void;
  /** The peer has ended its side. */
  peerEnded(): void;
  /** The last event. `cause` is set if the connection broke. */
  closed(cause: Error | undefined): void;
}

/** Time. The tests use a simulated clock. */
export interface Clock {
  /** Monotonic, in milliseconds. */
  now(): number;
  /** Calls once after `milliseconds`. Returns an undo function. The timer keeps the process running only with `keepsRunning`. */
  after(milliseconds: number, call: () => void, keepsRunning?: boolean): () => void;
}

export const realClock: Clock = {
  now: () => performance.now(),
  after: (milliseconds, call, keepsRunning = false) => {
    const timer = setTimeout(call, milliseconds);
    if (!keepsRunning) timer.unref();
    return () => clearTimeout(timer);
  },
};
