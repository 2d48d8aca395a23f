import http from 'node:http';
import type { ServerHttp2Session } from 'node:http2';
import type net from 'node:net';
import { responseOn } from '../node/fields.ts';
import type { Protocol } from './connection.ts';

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

/** Asks the program to bring one connection to its end. */
export class ProgramDrain {
  readonly #drain: (connection: DrainingConnection) => Promise<void>;
  /** What the program was asked to end last. */
  #asked: unknown;
  #underWay = 0;

  /** The promise of `drain` is settled when the program has done what it can. */
  constructor(drain: (connection: DrainingConnection) => Promise<void>) {
    this.#drain = drain;
  }

  /** Whether the program is at it. */
  get isUnderWay(): boolean {
    return this.#underWay > 0;
  }

  /** Asks once for each thing that there is to end; `then` is called when the program has done what it can. */
  ask(connection: Omit<DrainingConnection, 'response'>, then: () => void): void {
    const { socket, protocol, session } = connection;
    const response = responseOn(socket);
    // Of an HTTP/1.1 connection each response that is under way, and nothing between two; a session once there is one.
    const what = protocol === 'http/1.1' ? response : protocol === 'h2' ? session : socket;
    if (what === undefined || what === this.#asked) return;
    this.#asked = what;
    this.#underWay += 1;
    const isResponse = response instanceof http.ServerResponse;
    void this.#drain({ ...connection, ...(isResponse && { response }) }).finally(() => {
      this.#underWay -= 1;
      then();
    });
  }
}
