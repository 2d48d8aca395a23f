import type { Exchange } from '../gate/traffic.ts';

// A TLS handshake is two questions before the first request.
const AGAIN = 3;

/**
 * The clients for whose answer a stop waits: all whose connection owes one, except those that were seen to be answered, and to
 * ask again, `AGAIN` times. A kept connection may go on like this for ever.
 */
export class OwedClients {
  readonly #early: ReadonlySet<string> | undefined;
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

  #roundsOf(ends: string, now: Exchange): number {
    const seen = this.#seen.get(ends) ?? { at: now, rounds: 0 };
    const asksAgain = now.sent > seen.at.sent && now.received > seen.at.received;
    const rounds = seen.rounds + (asksAgain ? 1 : 0);
    this.#seen.set(ends, { at: asksAgain ? now : seen.at, rounds });
    return rounds;
  }
}
