import type { Protocol } from '../../close/report.ts';
import { isUnderTls } from '../../node/fields.ts';
import type { ClosingConnection } from '../closing-connection.ts';
import { awaitsChange } from '../http1/upgrades.ts';
import { LONGEST_PAUSE, type ProtocolEnd } from '../protocol-end.ts';
import { RawFarewell } from './farewell.ts';

/** The end of a connection with a protocol of the program's: the `farewell` option's words, then our FIN when it is quiet. */
export class RawEnd implements ProtocolEnd {
  readonly protocol: Protocol = 'raw';
  readonly #connection: ClosingConnection;
  #farewell: RawFarewell | undefined;

  constructor(connection: ClosingConnection) {
    this.#connection = connection;
  }

  look(): number {
    const { program, farewell, close } = this.#connection;
    if (awaitsChange(program)) return LONGEST_PAUSE;
    this.#sendFarewell();
    // The client has sent its end, and the program means to answer: else Node would have ended the socket.
    if (program.writableLength > 0 || program.readableEnded) return LONGEST_PAUSE;
    const awaitsAnswer = farewell.awaitsAnswer && close.options.farewell?.answered !== undefined;
    const next = awaitsAnswer
      ? this.#connection.lingerUnanswered(close.options.idleWait)
      : this.#connection.lingerWhenQuiet();
    const isToSay = close.options.farewell !== undefined && farewell.isToSay;
    return isToSay ? Math.min(next, LONGEST_PAUSE) : next;
  }

  #sendFarewell(): void {
    const { program, farewell, close } = this.#connection;
    const words = close.options.farewell;
    // In the middle of a TLS handshake, or under TLS of the program's own (STARTTLS), words would break it.
    if (words === undefined || !farewell.isToSay || isUnderTls(program)) return;
    this.#farewell ??= new RawFarewell(words, program, () => {
      farewell.noteAnswered();
      this.#connection.linger();
    });
    if (this.#farewell.send((name, cause) => close.noteThrown(name, cause))) farewell.noteSaid();
  }
}
