/** What the bytes of a connection go through: a socket, or a simulated one in the tests. */
export interface Transport {
  /** Writes these, in this order. What it is given must not change until it has gone. */
  write(chunks: readonly Uint8Array[]): void;
  /** Bytes that wait in this process to be written. */
  readonly unsent: number;
  /** Nothing is read until `resume`: the peer is to wait. */
  pause(): void;
  resume(): void;
  /** Ends our side when everything has been written. */
  end(): void;
  /** Ends both sides now. */
  destroy(): void;
}

/** What happens on a connection. */
export interface TransportEvents {
  receive(chunk: Uint8Array): void;
  /** Nothing waits to be written any more. */
  drained(): void;
  /** The peer has ended its side. */
  peerEnded(): void;
  /** It is over; `cause` is there if it broke. Nothing comes after this. */
  closed(cause: Error | undefined): void;
}

/** Time, as the channel needs it: the tests have a clock of their own. */
export interface Clock {
  /** Milliseconds, never going back. */
  now(): number;
  /** Calls once, after so many milliseconds, unless what it returned was called. A process that has nothing else to do ends, unless `keepsRunning`. */
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
