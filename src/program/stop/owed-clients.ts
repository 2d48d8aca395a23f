import type { Exchange } from '../gate/traffic.ts';

// A TLS handshake is two questions before the first request.
const AGAIN = 3;

interface Answered {
  readonly at: Exchange;
  readonly flows: boolean;
}

/**
 * The clients for whose answer a stop waits: all whose connection owes one, except those that were seen to be answered, and to
 * ask again, `AGAIN` times. A kept connection may go on like this for ever.
 */
export class OwedClients {
  readonly #early: ReadonlySet<string> | undefined;
  #answered: ReadonlyMap<string, Answered> = new Map();
  readonly #seen = new Map<string, { readonly at: Exchange; readonly rounds: number }>();

  /** `early`: the only connections that are waited for; undefined for all. */
  constructor(early: ReadonlySet<string> | undefined) {
    this.#early = early;
  }

  /** How many of the unanswered are owed, and do not ask again and again. Each call is a look. */
  count(unanswered: ReadonlyMap<string, Exchange>): number {
    let owed = 0;
    for (const [ends, exchange] of unanswered) {
      if (this.#early?.has(ends) === false) continue;
      if (this.#roundsOf(ends, exchange) < AGAIN) owed += 1;
    }
    return owed;
  }

  /**
   * How many of these connections get more, although their clients have not spoken since: an answer in pieces. The others have been
   * answered, as far as it shows. Each call is a look.
   */
  countFlowing(answered: ReadonlyMap<string, Exchange>): number {
    const before = this.#answered;
    this.#answered = new Map(
      [...answered]
        .filter(([ends]) => this.#early?.has(ends) !== false)
        .map(([ends, at]) => [ends, { at, flows: isFlowing(at, before.get(ends)) }]),
    );
    return [...this.#answered.values()].filter(({ flows }) => flows).length;
  }

  #roundsOf(ends: string, now: Exchange): number {
    const seen = this.#seen.get(ends) ?? { at: now, rounds: 0 };
    const asksAgain = now.sent > seen.at.sent && now.received > seen.at.received;
    const rounds = seen.rounds + (asksAgain ? 1 : 0);
    this.#seen.set(ends, { at: asksAgain ? now : seen.at, rounds });
    return rounds;
  }
}

function isFlowing(now: Exchange, before: Answered | undefined): boolean {
  if (before === undefined || now.received > before.at.received) return false;
  return before.flows || now.sent > before.at.sent;
}
