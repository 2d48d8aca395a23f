import type { ServerHttp2Session } from 'node:http2';
import { Duplex } from 'node:stream';
import { openStreams } from '../../node/session-fields.ts';

// RFC 9113 7. The client did not want the rest, or the server never began. (node:http2 is not loaded for a program without it.)
const REFUSED_STREAM = 7;
const CANCEL = 8;

/** Counts the streams of a session that end, from now on, in an error of the connection or of the other side. */
export class FailedStreams {
  #count = 0;

  constructor(session: ServerHttp2Session) {
    for (const stream of openStreams(session)) this.#watch(stream);
    session.on('stream', (stream) => this.#watch(stream));
  }

  get count(): number {
    return this.#count;
  }

  #watch(stream: unknown): void {
    if (!(stream instanceof Duplex) || !('rstCode' in stream)) return;
    stream.once('close', () => {
      const { rstCode, errored } = stream;
      // What the program itself destroyed has its error.
      const isOurs = errored === null || !('code' in errored) || !String(errored.code).startsWith('ERR_HTTP2_');
      if (!isOurs && rstCode !== REFUSED_STREAM && rstCode !== CANCEL) this.#count += 1;
    });
  }
}
