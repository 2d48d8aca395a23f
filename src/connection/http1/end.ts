import http from 'node:http';
import type { Protocol } from '../../close/report.ts';
import { responseOn } from '../../node/fields.ts';
import { delayedAcknowledgement } from '../acknowledged.ts';
import type { ClosingConnection } from '../closing-connection.ts';
import { LONGEST_PAUSE, type ProtocolEnd } from '../protocol-end.ts';
import { Http1EventStreams } from './event-streams.ts';
import { halfCloseIdle } from './half-close.ts';
import type { MidRequest } from './mid-request.ts';

/**
 * The end of an HTTP/1.1 connection. A response that is under way says `Connection: close` (head.ts), and http ends the
 * connection after it. One between two requests gets our FIN when it has been quiet for `idleWait`.
 */
export class Http1End implements ProtocolEnd {
  readonly protocol: Protocol = 'http/1.1';
  readonly #connection: ClosingConnection;
  readonly #midRequest: MidRequest;
  #eventStreams: Http1EventStreams | undefined;

  constructor(connection: ClosingConnection, midRequest: MidRequest) {
    this.#connection = connection;
    this.#midRequest = midRequest;
  }

  /** Of the last response a peer may have all and have acknowledged nothing. */
  get farewellBytes(): number {
    const { program, socket, farewell } = this.#connection;
    const hasSaid = !farewell.isToSay || program.writableEnded;
    return hasSaid && responseOn(program) === undefined ? delayedAcknowledgement(socket) : 0;
  }

  look(): number {
    const { program, socket, close } = this.#connection;
    const response = responseOn(program);
    if (response instanceof http.ServerResponse) {
      this.#eventStreams ??= new Http1EventStreams(this.#connection);
      return this.#eventStreams.look(response);
    }
    if (response !== undefined || program.writableLength > 0 || this.#midRequest.isOn(program)) return LONGEST_PAUSE;
    return this.#connection.lingerWhenQuiet(close.options.idleWait, () => {
      // Under TLS close_notify goes first.
      if (program !== socket || !halfCloseIdle(socket)) program.end();
    });
  }
}
