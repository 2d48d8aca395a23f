import type http from 'node:http';
import { headOf } from '../../node/fields.ts';

/** The event stream that is under way on a connection, if there is one. Its client reconnects elsewhere. */
export class EventStream {
  #response: http.ServerResponse | undefined;
  #since = Number.NEGATIVE_INFINITY;
  /** Whether its 'error' event has a listener. */
  #isSafe = false;

  /** Ends the response if it is an event stream that was first seen at least `milliseconds` ago. */
  endAfter(milliseconds: number, response: http.ServerResponse): void {
    if (!isEventStream(response)) return;
    const now = performance.now();
    if (this.#response !== response) {
      this.#response = response;
      this.#since = now;
      this.#isSafe = false;
    }
    if (now - this.#since >= milliseconds) this.#end(response);
  }

  /** Ends it between two writes. What the program writes afterwards is dropped, and its error does no harm. */
  #end(response: http.ServerResponse): void {
    if (response.writableLength > 0 || response.writableEnded) return;
    // Where the program's own `end` does not end it, this is tried again at each look.
    if (!this.#isSafe) response.on('error', () => {});
    this.#isSafe = true;
    response.end();
  }
}

/** Whether a response is an event stream: its client reconnects when it ends (HTML Standard, 9.2). */
function isEventStream(response: http.ServerResponse): boolean {
  return /^content-type: *text\/event-stream\b/im.test(headOf(response));
}
