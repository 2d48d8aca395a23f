import type { Protocol } from '../../close/report.ts';
import { isUnderTls } from '../../node/fields.ts';
import { type AnswerState, AwaitedAnswer } from '../answer/awaited-answer.ts';
import type { PeersElsewhere } from '../answer/other-servers.ts';
import type { ClosingConnection } from '../closing-connection.ts';
import { awaitsChange } from '../http1/upgrades.ts';
import { CUT_SHORT, LONGEST_PAUSE, type ProtocolEnd, SHORTEST_PAUSE } from '../protocol-end.ts';
import { RawFarewell } from './farewell.ts';

/**
 * The end of a connection with a protocol of the program's: the `farewell` option's words, then our FIN when it is quiet, and
 * its client does not wait for an answer.
 */
export class RawEnd implements ProtocolEnd {
  readonly protocol: Protocol = 'raw';
  readonly #connection: ClosingConnection;
  readonly #peers: PeersElsewhere;
  readonly #answer: AwaitedAnswer;
  #farewell: RawFarewell | undefined;
  /** How long the client waits for its answer, and what was written by then: our own words are none. */
  #waits: { readonly until: number; readonly written: number } | undefined;
  /** Whether its client waited when our FIN was sent, and how much it had sent by then. */
  #atEnd: { readonly state: AnswerState; readonly read: number } = { state: 'not owed', read: 0 };

  constructor(connection: ClosingConnection, peers: PeersElsewhere) {
    this.#connection = connection;
    this.#peers = peers;
    // One that goes on talking may send something whole, such as a file, whose answer comes at its end.
    this.#answer = new AwaitedAnswer(connection, 'from its last words');
    peers.add(connection);
  }

  get wasOwed(): boolean {
    const { state, read } = this.#atEnd;
    // What answers later words is a late answer to a late request.
    if (state === 'unknown') return this.#connection.program.bytesRead === read;
    return state !== 'not owed';
  }

  look(): number {
    const { program, farewell, close } = this.#connection;
    if (awaitsChange(program)) return LONGEST_PAUSE;
    this.#sendFarewell();
    // The client has sent its end, and the program means to answer: else Node would have ended the socket.
    if (program.writableLength > 0 || program.readableEnded) return LONGEST_PAUSE;
    const next = this.#wait() ?? this.#endWhenQuiet();
    const isToSay = close.options.farewell !== undefined && farewell.isToSay;
    return isToSay ? Math.min(next, LONGEST_PAUSE) : next;
  }

  noteEnd(): void {
    this.#peers.end(this.#connection);
  }

  /** In how many ms to look again at a client that waits, or whose peer is at work elsewhere; undefined where there is none. */
  #wait(): number | undefined {
    const { idleWait } = this.#connection.close.options;
    const now = performance.now();
    const moves = this.#peers.movedAt(this.#connection) + idleWait - now;
    const wait = Math.max(this.#answerWait(now), moves);
    if (wait <= 0) return undefined;
    // After its answer it has to be quiet for `idleWait`, so that it need not be looked at often.
    return Math.min(wait, Math.max(LONGEST_PAUSE, idleWait / 4));
  }

  #answerWait(now: number): number {
    const { until, written } = this.#waits ?? { until: now, written: -1 };
    const isUnanswered = this.#connection.program.bytesWritten === written;
    return Math.max(isUnanswered ? until - now : 0, this.#answer.wait());
  }

  #endWhenQuiet(): number {
    const { farewell, close } = this.#connection;
    const { state } = this.#answer;
    if (state === 'waits') return SHORTEST_PAUSE;
    const awaitsAnswer = farewell.awaitsAnswer && close.options.farewell?.answered !== undefined;
    const next = awaitsAnswer
      ? this.#connection.lingerUnanswered(close.options.idleWait)
      : this.#connection.lingerWhenQuiet();
    if (!this.#connection.isLingering) return next;
    this.#atEnd = { state, read: this.#connection.program.bytesRead };
    if (state === 'cut short') close.noteDoubt(CUT_SHORT);
    return next;
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
    const wait = this.#answer.wait();
    if (!this.#farewell.send((name, cause) => close.noteThrown(name, cause))) return;
    farewell.noteSaid();
    if (wait > 0) this.#waits = { until: performance.now() + wait, written: program.bytesWritten };
  }
}
