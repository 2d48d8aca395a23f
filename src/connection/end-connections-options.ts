import type net from 'node:net';
import type { LastCallError } from '../errors.ts';
import type { CutConnection, Protocol } from './connection.ts';
import type { OnDrain } from './on-drain.ts';
import type { Farewell } from './raw/farewell.ts';
import type { WebSocketClose, WebSocketServerLike } from './websocket/close-frame.ts';

/** What a caller chooses of how connections are ended. Times are in milliseconds. */
export interface EndingChoices {
  readonly idleWait: number;
  readonly lingerWait: number;
  readonly spread: number;
  readonly farewell: Farewell | undefined;
  readonly onDrain: OnDrain | undefined;
  readonly webSockets: readonly WebSocketServerLike[];
  readonly webSocketClose: WebSocketClose;
}

/** What can be told of a connection at its end; each costs something to find out. */
export interface ConnectionFacts {
  readonly remote: () => string;
  readonly protocol: () => Protocol;
}

/** How the connections of one close are ended. */
export interface EndConnectionsOptions extends EndingChoices {
  /** Whether connections of this server inherit the filter of a held gate. */
  readonly isFiltered: (server: net.Server) => boolean;
  /** Whether anybody wants to know of those that have ended. */
  readonly wantsFacts: () => boolean;
  readonly onEnd: (facts: ConnectionFacts, cut: CutConnection | undefined) => void;
  readonly onError: (error: LastCallError) => void;
  /** When the time will be up, on the clock of `performance.now()`. */
  readonly endsAt: number;
  /** Aborted when the time is up. */
  readonly deadline: AbortSignal;
  /** Aborted when the close is over: everything this has set up is taken away. */
  readonly over: AbortSignal;
}
