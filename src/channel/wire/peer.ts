import type { GoodbyeReason } from './frames.ts';

/** What a farewell says. */
export interface GoodbyeWords {
  /** Default `closing`; `moving on` for a single client that is to come again, here or elsewhere. */
  readonly reason?: GoodbyeReason;
  /** For how long the client is not to come back to this address, in milliseconds. Default 0. */
  readonly retryAfter?: number;
}

/** One client of a server, as long as its connection lasts. */
export interface ChannelPeer {
  /** `address:port`, or `unix`. */
  readonly remote: string;
  /** Whether it can be sent anything. */
  readonly isOpen: boolean;
  /**
   * Sends a message, at most once: it is lost with its connection. The promise is resolved when the message has been handed to the
   * connection; it waits while the client has not read what came before.
   *
   * @throws `LastCallError`, as a rejection: `ERR_CHANNEL_LIMIT` where it is longer than the client's `maxFrame`, and where
   *   more than `maxUnread` bytes wait already; `ERR_CHANNEL_CLOSED` where the connection is over, or leaving. `ERR_OPTION` is
   *   thrown at once.
   */
  send(message: Uint8Array): Promise<void>;
  /**
   * Says the farewell to this client, once: what it has asked is answered, and for the rest it makes a new connection. Default: the
   * words of the server's `farewell`.
   *
   * @throws `LastCallError` with code `ERR_OPTION` for words that are none.
   */
  goodbye(words?: GoodbyeWords): void;
}
