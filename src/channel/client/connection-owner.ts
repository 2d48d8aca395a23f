import type { ClientConnection } from './connection.ts';
import type { ClientRequest } from './request.ts';
import type { GoodbyeReason } from '../wire/frames.ts';
import type { LinkEnd, LinkSettings } from '../link/link.ts';
import type { Clock } from '../wire/transport.ts';

/** What all connections of a client share. */
export interface ClientSettings {
  readonly link: LinkSettings;
  readonly clock: Clock;
  readonly maxPayload: number;
  /** The highest id to give to a request. */
  readonly lastId: number;
}

/** Who has the connections of a client, and the requests that are on none. */
export interface ClientConnectionOwner {
  /** Requests can be sent on it. */
  opened(connection: ClientConnection): void;
  /** Whether requests wait that are to go over this connection. */
  hasWaiting(connection: ClientConnection): boolean;
  /** More can be sent on it than before. */
  maySend(connection: ClientConnection): void;
  /** The server takes no more requests on it, nor has it taken these. */
  leaving(connection: ClientConnection, words: ServerGoodbye, notProcessed: readonly ClientRequest[]): void;
  /** It is over; of `inDoubt` nobody knows whether they were processed. */
  ended(connection: ClientConnection, end: LinkEnd, requests: UnansweredRequests): void;
  closed(connection: ClientConnection): void;
  message(message: Uint8Array): void;
}

export interface ServerGoodbye {
  /** Undefined for one that is not known. */
  readonly reason: GoodbyeReason | undefined;
  readonly retryAfter: number;
}

export interface UnansweredRequests {
  readonly notProcessed: readonly ClientRequest[];
  readonly inDoubt: readonly ClientRequest[];
}
