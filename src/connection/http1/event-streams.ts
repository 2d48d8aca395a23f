import type http from 'node:http';
import { headOf, keepHttpFromWriting } from '../../node/fields.ts';
import type { ClosingConnection } from '../closing-connection.ts';
import { EventStreamEnding } from '../event-stream/ending.ts';
import { isEndedEarly, isEventStreamType } from '../event-stream/reconnecting.ts';
import { LONGEST_PAUSE } from '../protocol-end.ts';

/** The event stream that is under way on an HTTP/1.1 connection, if there is one. */
export class Http1EventStreams {
  readonly #connection: ClosingConnection;
  /** The response that was asked about last. */
  #response: http.ServerResponse | undefined;
  #ending: EventStreamEnding | undefined;

  constructor(connection: ClosingConnection) {
    this.#connection = connection;
  }

  /** Ends the response if it is an event stream that is due. Returns in how many ms to look again. */
  look(response: http.ServerResponse): number {
    const head = headOf(response);
    // Its type is not known before its head is written.
    if (head === '' || response.writableEnded) return LONGEST_PAUSE;
    if (this.#response !== response) {
      this.#response = response;
      this.#ending = this.#begin(response, head);
    }
    return this.#ending?.look() ?? LONGEST_PAUSE;
  }

  #begin(response: http.ServerResponse, head: string): EventStreamEnding | undefined {
    const { close, patientUntil } = this.#connection;
    if (!isEventStreamType(headerIn(head, 'content-type')) || !isEndedEarly(close, response.req)) return undefined;
    const isText = /^(?:identity)?$/i.test(headerIn(head, 'content-encoding'));
    const end = (): void => this.#endConnection();
    return new EventStreamEnding({ stream: response, isText, end }, close.options.idleWait, patientUntil);
  }

  /** No last chunk goes out, so that a client that would not take it up again sees that something is missing (RFC 9112 8). */
  #endConnection(): void {
    const { close, program } = this.#connection;
    close.accounts.countEventStream();
    this.#connection.linger(() => {
      program.end();
      // What http still has to write, the end of the response included, would be an error on the program's socket.
      keepHttpFromWriting(program);
    });
  }
}

function headerIn(head: string, name: string): string {
  const line = head.split('\r\n').find((header) => header.slice(0, name.length + 1).toLowerCase() === `${name}:`);
  return line?.slice(name.length + 1).trim() ?? '';
}
