import type { Protocol } from '../../close/report.ts';
import type { ClosingConnection } from '../closing-connection.ts';
import { type ProtocolEnd, SHORTEST_PAUSE } from '../protocol-end.ts';
import type { WebSocketClients } from './clients.ts';

/** The end of a WebSocket connection: Close, then the peer's Close, upon which the program's WebSocket code ends it. */
export class WebSocketEnd implements ProtocolEnd {
  readonly protocol: Protocol = 'websocket';
  /** The program's code ends the connection when the peer's Close has come. */
  readonly isAnswered = true;
  readonly #connection: ClosingConnection;
  readonly #clients: WebSocketClients;

  constructor(connection: ClosingConnection, clients: WebSocketClients) {
    this.#connection = connection;
    this.#clients = clients;
  }

  look(): number {
    const { farewell, program, close, patientUntil } = this.#connection;
    const sent = farewell.isToSay ? this.#clients.sendClose(program, patientUntil) : 'sent';
    // Without words, like a connection whose protocol is not known.
    if (sent === 'impossible') return this.#connection.lingerWhenQuiet();
    if (sent === 'not now') return SHORTEST_PAUSE;
    farewell.noteSaid();
    // The peer's Close is awaited as long as a peer's end is.
    return this.#connection.lingerUnanswered(close.options.lingerWait);
  }
}
