import type { Protocol } from '../../close/report.ts';
import type { ClosingConnection } from '../closing-connection.ts';
import { LONGEST_PAUSE, type ProtocolEnd, SHORTEST_PAUSE } from '../protocol-end.ts';
import { channelOn } from './sockets.ts';

/** The end of a connection of lastcall/channel: GOODBYE. When it is answered and all replies are out, it ends by itself. */
export class ChannelEnd implements ProtocolEnd {
  readonly protocol: Protocol = 'channel';
  readonly #connection: ClosingConnection;

  constructor(connection: ClosingConnection) {
    this.#connection = connection;
  }

  get isAnswered(): boolean {
    return channelOn(this.#connection.program)?.farewell === 'answered';
  }

  look(): number {
    const { program, farewell } = this.#connection;
    const channel = channelOn(program);
    channel?.goodbye();
    // A client that has never greeted has asked nothing.
    if (channel?.farewell === 'not said') return Math.min(SHORTEST_PAUSE, this.#connection.lingerWhenQuiet());
    farewell.noteSaid();
    if (this.isAnswered) farewell.noteAnswered();
    return LONGEST_PAUSE;
  }
}
