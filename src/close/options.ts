import type http from 'node:http';
import type { ServerHttp2Session } from 'node:http2';
import type net from 'node:net';
import type { CloseProgress, Protocol } from './report.ts';

/** How to close. All times are in milliseconds; 0 means not to wait. */
export interface CloseOptions {
  /** When to cut what is left. Default 30,000. */
  readonly deadline?: number;
  /**
   * What new clients meet: `refuse` (ECONNREFUSED at once) or `hold` (no answer: they try again after 1 s and find
   * whoever listens then; needs CAP_NET_ADMIN on current kernels). Default `refuse`; where `hold` is not allowed the
   * gate is `refuse`, and the report says so.
   */
  readonly newConnections?: 'refuse' | 'hold';
  /**
   * `own`: this process alone holds the listeners, whatever it looks like. `shared`: another process holds them, too, such as a
   * successor that has copied them: no gate is shut. Default: found out.
   */
  readonly gate?: 'own' | 'shared';
  /** How long handshakes that are under way may take. Default 3,500: two retransmissions of a SYN-ACK. */
  readonly handshakeWait?: number;
  /** How long a connection must have been quiet to be ended. Default 2,000. */
  readonly idleWait?: number;
  /** How long to wait for the peer's EOF after our own. Default 2,000. */
  readonly lingerWait?: number;
  /**
   * How long a WebSocket or raw client that spoke last may wait for its answer, counted from its last words; of a WebSocket that
   * goes on talking from the start of the close at most. It is ended earlier where the deadline leaves no time. Default 10,000.
   */
  readonly answerWait?: number;
  /**
   * Which responses of type `text/event-stream` are ended early, between two events: those whose client will take them up
   * again (`reconnecting`), `all`, or `none`; or a function that is asked once for each. Default `reconnecting`: the response to
   * a GET whose Accept names `text/event-stream`, and neither any type nor `application/json`, as an EventSource sends it.
   */
  readonly eventStreams?: 'reconnecting' | 'all' | 'none' | IsEndedEarly;
  /**
   * Over how long the farewells to quiet connections are spread, so that their clients do not all come back at once; at
   * most the deadline. Default 0.
   */
  readonly spread?: number;
  /** For raw TCP, TLS and Unix connections: what to say to a client before it is ended, and how to know its answer. */
  readonly farewell?: Farewell;
  /**
   * Called once for each connection or HTTP/1.1 response that only the program can bring to its end. Where it returns a
   * promise the connection counts as busy until that is settled. `signal` aborts at the deadline. What it throws is in
   * the report's `errors`.
   */
  readonly onDrain?: OnDrain;
  /** The WebSocket servers whose clients are on these connections (`ws`): each client gets its Close through them. */
  readonly webSockets?: WebSocketServerLike | readonly WebSocketServerLike[];
  /** What the Close frames of WebSocket clients carry. Default code 1001 (going away) and no reason. */
  readonly webSocketClose?: Partial<WebSocketClose>;
  /** Abort: the deadline is now. */
  readonly signal?: AbortSignal;
  /** Told where the close is, at most 10 times a second. What it throws is in the report's `errors`. */
  readonly onProgress?: (progress: CloseProgress) => void;
}

/** The request that an event stream answers, for as much as a close needs of it. */
export interface EventStreamRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: http.IncomingHttpHeaders;
}

/** Whether an event stream is ended early, since its client will take it up again. */
export type IsEndedEarly = (request: EventStreamRequest) => boolean;

/** The farewell of a raw protocol. */
export interface Farewell {
  /**
   * The words to say to a client, said once nothing else waits to be written. `undefined`: nothing, or not now; it is asked
   * again every 100 ms until the connection is quiet and ended.
   */
  say(socket: net.Socket): Uint8Array | undefined;
  /**
   * Whether the client has answered; `received` is what it has sent since the words were said, the last 64 KiB of it.
   * Without it the client's own end is its answer.
   */
  answered?(received: Buffer, socket: net.Socket): boolean;
}

/** A connection that the program is asked to bring to its end. */
export interface DrainingConnection {
  /** The socket as the program has it: the TLS socket over a TLS connection. */
  readonly socket: net.Socket;
  readonly protocol: Protocol;
  /** The HTTP/1.1 response that is not finished, where there is one. */
  readonly response?: http.ServerResponse;
  /** The HTTP/2 session, where it is one. */
  readonly session?: ServerHttp2Session;
}

/**
 * The program's own way to end a connection; where it returns a promise that is waited for. `signal` aborts at the deadline,
 * when what is left is cut: for work that the program would go on with in vain.
 */
export type OnDrain = (connection: DrainingConnection, signal: AbortSignal) => unknown;

/** A WebSocket server object, as the `ws` package makes it, for as much as a close needs of it. */
export interface WebSocketServerLike {
  readonly clients: Iterable<WebSocketLike>;
}

/** One client of such a server. */
export interface WebSocketLike {
  close(code: number, reason: string): void;
  terminate(): void;
}

/** What a WebSocket Close carries: a code of RFC 6455 7.4, and a reason of at most 123 bytes. */
export interface WebSocketClose {
  readonly code: number;
  readonly reason: string;
}

/** Options as a close uses them: checked and complete. Times are in milliseconds. */
export interface CompleteCloseOptions {
  readonly deadline: number;
  readonly newConnections: 'refuse' | 'hold';
  readonly ownGate: boolean;
  readonly sharedGate: boolean;
  readonly handshakeWait: number;
  readonly idleWait: number;
  readonly lingerWait: number;
  readonly answerWait: number;
  readonly eventStreams: 'reconnecting' | 'all' | 'none' | IsEndedEarly;
  readonly spread: number;
  readonly farewell: Farewell | undefined;
  readonly onDrain: OnDrain | undefined;
  readonly webSockets: readonly WebSocketServerLike[];
  readonly webSocketClose: WebSocketClose;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: CloseProgress) => void) | undefined;
}
