import type net from 'node:net';

/** The farewell of a raw protocol. */
export interface Farewell {
  /**
   * The words to say to a client, said once nothing else waits to be written. `undefined`: nothing, or not now; asked again
   * as long as the connection is open.
   */
  say(socket: net.Socket): Uint8Array | undefined;
  /**
   * Whether the client has answered; `received` is what it has sent since the words were said, the last 64 KiB of it.
   * Without it the client's own end is its answer.
   */
  answered?(received: Buffer, socket: net.Socket): boolean;
}
