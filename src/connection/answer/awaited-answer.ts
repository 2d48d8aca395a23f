import type { ClosingConnection } from '../closing-connection.ts';
import { bytesSpoken } from '../http1/upgrades.ts';
import { LastWordsOn } from './last-words.ts';

/**
 * What becomes of a client's last words where it is ended: nobody owes it an answer; it may be owed one, and had its time; or it
 * may be, and the deadline leaves it no more time.
 */
export type AnswerState = 'not owed' | 'waited for' | 'cut short';

/**
 * The answer that a client waits for. lastcall does not know what is said on a WebSocket or a raw connection, and takes a client
 * that has spoken last for one that is owed an answer: for `answerWait` from its last words, and from the start of the close at
 * most for one that goes on talking.
 */
export class AwaitedAnswer {
  readonly #connection: ClosingConnection;
  readonly #lastWords: LastWordsOn;
  readonly #areWords: () => boolean;

  /** `areWords` tells whether what came last were words; a heartbeat's answer is none. */
  constructor(connection: ClosingConnection, areWords: () => boolean = () => true) {
    this.#connection = connection;
    this.#lastWords = new LastWordsOn(connection.socket);
    this.#areWords = areWords;
  }

  /** What the client has come to until now, in case it is ended. */
  get state(): AnswerState {
    const { answerWait } = this.#connection.close.options;
    const spokenAt = this.#spokenAt();
    if (spokenAt === undefined) return 'not owed';
    return answerWait > 0 && this.#until(spokenAt) > performance.now() ? 'cut short' : 'waited for';
  }

  /** In how many ms nobody waits for an answer any more, if nothing moves until then; 0 where nobody does. */
  wait(): number {
    const { close, patientUntil } = this.#connection;
    const spokenAt = close.options.answerWait === 0 ? undefined : this.#spokenAt();
    if (spokenAt === undefined) return 0;
    return Math.max(0, Math.min(this.#until(spokenAt), patientUntil) - performance.now());
  }

  #until(spokenAt: number): number {
    const { clock, options } = this.#connection.close;
    return Math.min(spokenAt, performance.now() - clock.elapsed()) + options.answerWait;
  }

  #spokenAt(): number | undefined {
    if (bytesSpoken(this.#connection.program) <= 0) return undefined;
    const { by, at } = this.#lastWords.find();
    return by === 'client' && this.#areWords() ? at : undefined;
  }
}
