import { counted } from '../../counted.ts';
import type { HeldListener } from '../find/find-listeners.ts';
import { type Exchange, type Fate, isUnix, readFates, type Traffic } from '../gate/traffic.ts';

/** What is known of the time between two looks. */
export interface Between {
  readonly listeners: readonly HeldListener[];
  /** Whether a process of the program has ended. */
  readonly hasProcessEnded: boolean;
}

/** The clients who must be feared to have lost their answer by the end of a program, or of a part of it. */
export class LostAnswers {
  readonly #unanswered = new LostConnections();
  readonly #unix = new LostConnections();
  readonly #unclear = new LostConnections();

  /** Compares a look with the one before. */
  add({ open, unanswered, unclear }: Traffic, between: Between): void {
    const waiting = [...unanswered];
    this.#unanswered.add(open, new Map(waiting.filter(([ends]) => !isUnix(ends))), between);
    this.#unix.add(open, new Map(waiting.filter(([ends]) => isUnix(ends))), between);
    this.#unclear.add(open, unclear, between);
  }

  /** A sentence for each kind. */
  doubts(): readonly string[] {
    const [sure, unix, unclear] = [this.#unanswered.count, this.#unix.count, this.#unclear.count];
    return [
      ...(sure === 0 ? [] : [`${counted(sure, 'client')} waited for an answer when ${AN_END}`]),
      ...(unix === 0
        ? []
        : [`${counted(unix, 'client')} had a connection on a Unix socket when ${AN_END}: who waited cannot be seen`]),
      ...(unclear === 0
        ? []
        : [
            `${counted(unclear, 'client')} may have waited for an answer: the connection was used shortly before ${AN_END}`,
          ]),
    ];
  }
}

const AN_END = 'the program, or a part of it, ended';

/**
 * The clients who waited for an answer when their connection was closed. The kernel shows what became of a connection for a moment
 * only: the program has closed it without another word, has sent more, or nothing is known. The last counts as lost if a process
 * of the program ended at that time.
 */
class LostConnections {
  #waiting: ReadonlyMap<string, Exchange> = new Map();
  /** Connections that went without a trace at the last look. The end of their process may not be known yet. */
  #gone = 0;
  #lost = 0;

  get count(): number {
    return this.#lost;
  }

  add(
    open: ReadonlySet<string>,
    waiting: ReadonlyMap<string, Exchange>,
    { listeners, hasProcessEnded }: Between,
  ): void {
    const closed = [...this.#waiting].filter(([ends]) => !open.has(ends));
    const fates: ReadonlyMap<string, Fate> = closed.length === 0 ? new Map() : readFates(listeners);
    const withoutTrace = closed.filter(([ends]) => !fates.has(ends)).length;
    this.#lost += closed.filter(([ends, before]) => isUnanswered(before, fates.get(ends))).length;
    if (hasProcessEnded) this.#lost += this.#gone + withoutTrace;
    this.#gone = hasProcessEnded ? 0 : withoutTrace;
    this.#waiting = waiting;
  }
}

function isUnanswered(before: Exchange, fate: Fate | undefined): boolean {
  return fate !== undefined && fate.endedAt !== undefined && fate.endedAt.sent <= before.sent;
}

/** A doubt: the program ended before it got its signal from lastcall. */
export const ENDED_BEFORE =
  'it ended before lastcall sent it a signal, as if everybody were signalled at once: clients in its queues may be lost';
