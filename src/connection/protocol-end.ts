import type { ServerHttp2Session } from 'node:http2';
import type { Protocol } from '../close/report.ts';

/** The longest pause between two looks at a connection that is busy, in ms. */
export const LONGEST_PAUSE = 100;
/** The shortest pause, for one that is about to change, in ms. */
export const SHORTEST_PAUSE = 10;

/** What a report says where the program has answered a client that waited, after our last word. */
export const LATE_ANSWER =
  'A client that spoke last got no answer: the program wrote one after the end of the connection.';

/** The same where there was no time to wait for it. */
export const CUT_SHORT =
  'A client that spoke last was ended before `answerWait` was over: the deadline left it no more time.';

/** How one connection comes to its end in its protocol. */
export interface ProtocolEnd {
  readonly protocol: Protocol;
  /** Does what is due on the open connection. Returns in how many ms to look again. */
  look(): number;
  /** How many of the last bytes sent may stay unacknowledged without a loss; absent: none. */
  readonly farewellBytes?: number;
  /** Bytes that the protocol holds and has not given to the socket; absent: none. */
  readonly unsent?: number;
  /** HTTP/2: the streams that ended in an error since the close began, and those that are open; absent: no streams. */
  readonly streams?: { readonly failed: number; readonly open: number } | undefined;
  /** The HTTP/2 session, for `onDrain`. Its farewell does not wait for what `onDrain` does. */
  readonly session?: ServerHttp2Session | undefined;
  /** Whether the client may have waited for an answer when our FIN was sent; absent: no. */
  readonly wasOwed?: boolean;
  /** The connection is over. */
  noteEnd?(): void;
  /** Whether the peer has answered the farewell when the program ends the connection; absent: no. */
  readonly isAnswered?: boolean;
}
