import type http from 'node:http';
import type net from 'node:net';
import type { Protocol } from './connection.ts';

/** A connection that the program is asked to bring to its end. */
export interface DrainingConnection {
  /** The socket as the program has it: the TLS socket over a TLS connection. */
  readonly socket: net.Socket;
  readonly protocol: Protocol;
  /** The HTTP/1.1 response that is not finished, where there is one. */
  readonly response?: http.ServerResponse;
}

/** The program's own way to end a connection; `signal` aborts at the deadline. */
export type OnDrain = (connection: DrainingConnection, signal: AbortSignal) => void | Promise<void>;
