import type { ClosingConnection } from '../closing-connection.ts';
import { bytesSpoken, isEngine } from '../http1/upgrades.ts';
import { type LastWords, LastWordsOn } from './last-words.ts';

/**
 * What becomes of a client's last words where it is ended: nobody owes it an answer; it may be owed one, and had its time; or it
 * may be, and the deadline leaves it no more time. `unknown`: nobody knows who spoke last. `waits`: it must not be ended yet, for
 * it has spoken since it was looked at.
 */
export type AnswerState = 'not owed' | 'waits' | 'waited for' | 'cut short' | 'unknown';

/**
 * The answer that a client waits for. lastcall does not know what is said on a WebSocket or a raw connection, and takes a client
 * that has spoken last for one that is owed an answer: for `answerWait` from its last words. Where it is not known who spoke last,
 * for `idleWait`.
 */
export class AwaitedAnswer {
  readonly #connection: ClosingConnection;
  readonly #lastWords: LastWordsOn;
  readonly #areWords: () => boolean;
  readonly #counts: 'from its last words' | 'from the start of the close at most';

  /**
   * `counts`: how long one may go on talking. `areWords` tells whether what came last were words; a heartbeat's answer is none.
   */
  constructor(
    connection: ClosingConnection,
    counts: 'from its last words' | 'from the start of the close at most',
    areWords: () => boolean = () => true,
  ) {
    this.#connection = connection;
    this.#counts = counts;
    // A server of Engine.IO speaks first.
    this.#lastWords = new LastWordsOn(connection.socket, isEngine(connection.program) ? 1 : 0);
    this.#areWords = areWords;
  }

  /** What the client has come to until now, in case it is ended. */
  get state(): AnswerState {
    const words = this.#findWords();
    if (words === undefined) return 'not owed';
    const now = performance.now();
    const isOver = this.#until(words) <= now;
    if (!isOver && this.#connection.patientUntil > now) return 'waits';
    if (words.by === 'unknown') return 'unknown';
    return isOver ? 'waited for' : 'cut short';
  }

  /** In how many ms nobody waits for an answer any more, if nothing moves until then; 0 where nobody does. */
  wait(): number {
    const words = this.#findWords();
    if (words === undefined) return 0;
    return Math.max(0, Math.min(this.#until(words), this.#connection.patientUntil) - performance.now());
  }

  #until({ by, at }: LastWords): number {
    const { clock, options } = this.#connection.close;
    const { answerWait, idleWait } = options;
    const latest = this.#counts === 'from its last words' ? at : Math.min(at, performance.now() - clock.elapsed());
    return latest + (by === 'client' ? answerWait : Math.min(answerWait, idleWait));
  }

  /** The last words where they may be the client's. */
  #findWords(): LastWords | undefined {
    if (bytesSpoken(this.#connection.program) <= 0) return undefined;
    const words = this.#lastWords.find();
    return words.by !== 'server' && this.#areWords() ? words : undefined;
  }
}
