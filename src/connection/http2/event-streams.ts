import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type net from 'node:net';
import { Duplex } from 'node:stream';
import type { EventStreamRequest } from '../../close/options.ts';
import { openStreams } from '../../node/session-fields.ts';
import type { ClosingConnection } from '../closing-connection.ts';
import { EventStreamEnding } from '../event-stream/ending.ts';
import { isEndedEarly, isEventStreamType, mayBeForEvents } from '../event-stream/reconnecting.ts';
import { LONGEST_PAUSE } from '../protocol-end.ts';
import { isHttp2Server } from './session.ts';

/** The headers of the requests that may be for events: node:http2 keeps none for a program that takes streams itself. */
const headersOf = new WeakMap<object, IncomingHttpHeaders>();
const watched = new WeakSet<net.Server>();

/** From now on remembers which streams of an HTTP/2 server may be for events. Does nothing for another server, or a second time. */
export function watchStreams(server: net.Server): void {
  if (!isHttp2Server(server) || watched.has(server)) return;
  watched.add(server);
  server.prependListener('stream', (stream: object, headers: IncomingHttpHeaders) => {
    if (mayBeForEvents(headers)) headersOf.set(stream, headers);
  });
}

/** The event streams that are under way on an HTTP/2 connection. */
export class Http2EventStreams {
  readonly #connection: ClosingConnection;
  /** What is known of each stream whose response has begun. */
  readonly #endings = new WeakMap<object, EventStreamEnding | 'stays'>();

  constructor(connection: ClosingConnection) {
    this.#connection = connection;
  }

  /** Ends those that are due. Returns in how many ms to look again. */
  look(session: ServerHttp2Session): number {
    const pauses = openStreams(session).map((stream) => this.#lookAt(stream));
    return Math.min(LONGEST_PAUSE, ...pauses);
  }

  #lookAt(stream: unknown): number {
    if (!isResponding(stream) || stream.closed || stream.writableEnded) return LONGEST_PAUSE;
    const ending = this.#endings.get(stream) ?? this.#begin(stream);
    this.#endings.set(stream, ending);
    return ending === 'stays' ? LONGEST_PAUSE : ending.look();
  }

  #begin(stream: ServerHttp2Stream): EventStreamEnding | 'stays' {
    const { close, patientUntil } = this.#connection;
    const { 'content-type': type, 'content-encoding': encoding = 'identity' } = stream.sentHeaders;
    if (!isEventStreamType(String(type)) || !isEndedEarly(close, requestOf(stream))) return 'stays';
    // What waits in the session when a stream is reset is not sent.
    const end = (): void => {
      ending.release();
      if (stream.closed) return;
      close.accounts.countEventStream();
      stream.on('error', () => {});
      // By an error, which is INTERNAL_ERROR to the client (RFC 9113 7). An EventSource takes that for an error of the network,
      // and connects again. To another client NO_ERROR, and to Node's own CANCEL, would look like an end. (Node's `close`
      // may send the end of the stream before the code.)
      stream.destroy(new Error('The server closes, and the client takes this event stream up again elsewhere'));
    };
    const ending = new EventStreamEnding(
      { stream, isText: encoding === 'identity', end },
      close.options.idleWait,
      patientUntil,
    );
    return ending;
  }
}

/** Where a program uses node:http2 like node:http, its request is in a property of the stream that has no name to rely on. */
function requestOf(stream: ServerHttp2Stream): EventStreamRequest {
  const headers = headersOf.get(stream);
  if (headers !== undefined) return { method: headers[':method'], url: headers[':path'], headers };
  const request = Reflect.ownKeys(stream)
    .map((key): unknown => Object.getOwnPropertyDescriptor(stream, key)?.value)
    .find((value): value is EventStreamRequest => isRequest(value));
  return request ?? { headers: {} };
}

function isRequest(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'headers' in value && 'method' in value && 'url' in value;
}

/** Whether the head of a stream's response was sent. */
function isResponding(stream: unknown): stream is ServerHttp2Stream {
  return stream instanceof Duplex && 'sentHeaders' in stream && typeof stream.sentHeaders === 'object';
}
