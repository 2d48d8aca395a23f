import type { Outcome, OutcomeStore } from '../../../src/channel/server/outcomes.ts';

/**
 * A store that outlives its server, like a database that writes the effect and the outcome of a request in one transaction. What a
 * killed server had claimed has had no effect.
 */
export class SimDatabase {
  readonly #outcomes = new Map<string, Outcome>();
  readonly #claims = new Map<string, SimProcess>();
  /** How often the request of each number has had its effect. */
  readonly effects: Map<number, number> = new Map();

  storeFor(process: SimProcess): OutcomeStore {
    return {
      name: 'database',
      remembers: 1e9,
      claim: (key) => {
        const outcome = this.#outcomes.get(key);
        if (outcome !== undefined) return outcome;
        if (this.#claims.get(key)?.isAlive === true) return 'under way';
        this.#claims.set(key, process);
        return 'claimed';
      },
      keep: (key, outcome) => {
        // The transaction of a dead process is not committed.
        if (!process.isAlive) throw new Error('killed');
        this.#outcomes.set(key, outcome);
        if (!('reply' in outcome)) return;
        const number = Buffer.from(outcome.reply).readUInt32BE(0);
        this.effects.set(number, (this.effects.get(number) ?? 0) + 1);
      },
      forget: (key) => {
        this.#outcomes.delete(key);
        this.#claims.delete(key);
      },
    };
  }
}

/** A server's process. */
export interface SimProcess {
  isAlive: boolean;
}
