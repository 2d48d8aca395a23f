import type { Close } from '../close/close.ts';
import type { Protocol } from '../close/report.ts';
import { ChannelEnd } from './channel/end.ts';
import type { ClosingConnection } from './closing-connection.ts';
import { PeersElsewhere } from './answer/other-servers.ts';
import { Http1End } from './http1/end.ts';
import { MidRequest } from './http1/mid-request.ts';
import { Http2End } from './http2/end.ts';
import { protocolOf } from './protocol.ts';
import type { ProtocolEnd } from './protocol-end.ts';
import { RawEnd } from './raw/end.ts';
import { WebSocketClients } from './websocket/clients.ts';
import { WebSocketEnd } from './websocket/end.ts';

/** Which end each connection of a close comes to: that of the protocol that it speaks now. */
export class Ends {
  readonly #midRequest = new MidRequest();
  readonly #webSockets: WebSocketClients;
  readonly #peers = new PeersElsewhere();

  constructor(close: Close) {
    this.#webSockets = new WebSocketClients(close);
  }

  /** Asks once what is the same for all connections of a round. */
  refresh(): void {
    this.#midRequest.refresh();
    this.#webSockets.refresh();
    this.#peers.refresh();
  }

  /** The end of a connection; `before` is what this returned the last time, and stays as long as the protocol does. */
  find(connection: ClosingConnection, before: ProtocolEnd | undefined): ProtocolEnd {
    const protocol = before?.session === undefined ? this.#protocolOf(connection) : before.protocol;
    return before?.protocol === protocol ? before : this.#make(protocol, connection);
  }

  #protocolOf({ server, socket, program }: ClosingConnection): Protocol {
    const protocol = protocolOf(server, socket);
    return protocol === 'raw' && this.#webSockets.isOn(program) ? 'websocket' : protocol;
  }

  #make(protocol: Protocol, connection: ClosingConnection): ProtocolEnd {
    switch (protocol) {
      case 'http/1.1':
        return new Http1End(connection, this.#midRequest);
      case 'h2':
        return new Http2End(connection);
      case 'websocket':
        return new WebSocketEnd(connection, this.#webSockets);
      case 'channel':
        return new ChannelEnd(connection);
      default:
        return new RawEnd(connection, this.#peers);
    }
  }
}
