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
  /** How much the program had written when the close began. */
  readonly #writtenBefore: number;
  #farewell: RawFarewell | undefined;
  /** How long the client waits for its answer, and what was written by then: our own words are none. */
  #waits: { readonly until: number; readonly written: number } | undefined;
  /** Whether its client waited when our FIN was sent, and how much it had sent by then. */
  #atEnd: { readonly state: AnswerState; readonly read: number } = { state: 'not owed', read: 0 };

  constructor(connection: ClosingConnection, peers: PeersElsewhere) {
    this.#connection = connection;
    this.#peers = peers;
    this.#answer = new AwaitedAnswer(connection);
    this.#writtenBefore = connection.program.bytesWritten;
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
    const wait = this.#waits === undefined || !this.#isUnanswered ? 0 : this.#waits.until - now;
    return Math.max(wait, this.#answer.wait());
  }

  #endWhenQuiet(): number {
    const { farewell, close } = this.#connection;
    const { state } = this.#answer;
    if (state === 'waits') return SHORTEST_PAUSE;
    const awaitsAnswer = farewell.awaitsAnswer && close.options.farewell?.answered !== undefined;
    // One that goes on talking is never quiet. It has had its time, and the program has not answered it.
    const least = state === 'waited for' && this.#isUnanswered ? 0 : close.options.idleWait;
    const next = awaitsAnswer ? this.#connection.lingerUnanswered(least) : this.#connection.lingerWhenQuiet(least);
    if (!this.#connection.isLingering) return next;
    this.#atEnd = { state, read: this.#connection.program.bytesRead };
    if (state === 'cut short') close.noteDoubt(CUT_SHORT);
    return next;
  }

  /** Whether the program has said nothing since the close began, or since our own words. */
  get #isUnanswered(): boolean {
    return this.#connection.program.bytesWritten === (this.#waits?.written ?? this.#writtenBefore);
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
