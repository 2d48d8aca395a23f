import type { Protocol } from '../../close/report.ts';
import { AwaitedAnswer } from '../answer/awaited-answer.ts';
import type { ClosingConnection } from '../closing-connection.ts';
import { CUT_SHORT, LATE_ANSWER, LONGEST_PAUSE, type ProtocolEnd, SHORTEST_PAUSE } from '../protocol-end.ts';
import { silentSinceUpgrade } from '../http1/upgrades.ts';
import { closeFrame } from './close-frame.ts';
import type { WebSocketClients } from './clients.ts';

/**
 * The end of a WebSocket connection: Close, when its client does not wait for an answer; then the peer's Close, upon which the
 * program's WebSocket code ends it.
 */
export class WebSocketEnd implements ProtocolEnd {
  readonly protocol: Protocol = 'websocket';
  /** The program's code ends the connection when the peer's Close has come. */
  readonly isAnswered = true;
  readonly #connection: ClosingConnection;
  readonly #clients: WebSocketClients;
  readonly #answer: AwaitedAnswer;
  /** How much was written when a client was closed that may have waited for an answer. */
  #writtenAtClose: number | undefined;

  constructor(connection: ClosingConnection, clients: WebSocketClients) {
    this.#connection = connection;
    this.#clients = clients;
    // Its messages are whole, and it is told by a Close. Many answer a heartbeat of their own protocol for ever.
    this.#answer = new AwaitedAnswer(
      connection,
      'from the start of the close at most',
      () => !clients.hasOnlyBeaten(connection.program),
    );
  }

  look(): number {
    const { farewell, close } = this.#connection;
    if (farewell.isToSay) {
      const wait = Math.max(this.#answer.wait(), this.#firstWordsWait());
      if (wait > 0) return Math.min(wait, LONGEST_PAUSE);
      const next = this.#sayFarewell();
      if (next !== undefined) return next;
    }
    // The peer's Close is awaited as long as a peer's end is.
    return this.#connection.lingerUnanswered(close.options.lingerWait);
  }

  /** A client that has come in during the close came to say something. */
  #firstWordsWait(): number {
    const { close, program, patientUntil, isFromQueue } = this.#connection;
    if (!isFromQueue) return 0;
    return Math.min(close.options.idleWait - silentSinceUpgrade(program), patientUntil - performance.now());
  }

  /** What is written behind our Close the client does not read; the answer to its own Close is no longer than ours. */
  noteEnd(): void {
    const { close, program } = this.#connection;
    const longest = closeFrame(close.options.webSocketClose).length;
    if (this.#writtenAtClose !== undefined && program.bytesWritten > this.#writtenAtClose + longest) this.#noteLate();
  }

  #noteLate(): void {
    const { close } = this.#connection;
    close.accounts.countLate();
    close.noteDoubt(LATE_ANSWER);
  }

  /** In how many ms to look again; undefined once Close was sent. */
  #sayFarewell(): number | undefined {
    const { close, farewell, program, patientUntil } = this.#connection;
    const { state } = this.#answer;
    if (state === 'waits') return SHORTEST_PAUSE;
    const sent = this.#clients.sendClose(program, patientUntil);
    // Without words, like a connection whose protocol is not known.
    if (sent === 'impossible') return this.#connection.lingerWhenQuiet();
    if (sent === 'not now') return SHORTEST_PAUSE;
    farewell.noteSaid();
    this.#clients.onMessageOn(program, () => close.accounts.countLate());
    if (state === 'cut short') close.noteDoubt(CUT_SHORT);
    if (state !== 'waited for' && state !== 'cut short') return undefined;
    if (sent === 'sent') this.#writtenAtClose = program.bytesWritten;
    else this.#clients.onSendOn(program, () => this.#noteLate());
    return undefined;
  }
}
