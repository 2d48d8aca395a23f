import type { HeldListener } from '../find/find-listeners.ts';
import { type Exchange, type Fate, readFates } from '../gate/traffic.ts';

/**
 * The clients who waited for an answer when their connection was closed. The kernel shows what became of a connection for a moment
 * only: the program has closed it without another word, has sent more, or nothing is known. The last counts as lost if a process
 * of the program ended at that time.
 */
export class LostAnswers {
  #waiting: ReadonlyMap<string, Exchange> = new Map();
  /** Connections that went without a trace at the last look. The end of their process may not be known yet. */
  #gone = 0;
  #lost = 0;

  get count(): number {
    return this.#lost;
  }

  /** Compares a look with the one before. `hasProcessEnded`: since then a process of the program has ended. */
  add(
    { open, waiting }: { readonly open: ReadonlySet<string>; readonly waiting: ReadonlyMap<string, Exchange> },
    listeners: readonly HeldListener[],
    hasProcessEnded: boolean,
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
