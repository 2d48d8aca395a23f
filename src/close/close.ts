import type net from 'node:net';
import { LastCallError } from '../errors.ts';
import { ConnectionAccounts } from './accounts.ts';
import { CloseClock } from './clock.ts';
import type { CompleteCloseOptions } from './options.ts';
import type { CloseReport, ListenerReport } from './report.ts';
import type { Channels } from './diagnostics.ts';

/** One close: its options, its time, its accounts. It is handed down to everything that takes part. */
export class Close {
  readonly options: CompleteCloseOptions;
  /** Which diagnostics channels it publishes to. */
  readonly diagnostics: Channels;
  readonly clock: CloseClock;
  readonly accounts: ConnectionAccounts = new ConnectionAccounts();
  /** Servers whose accepted sockets have no filter of a held gate. Known when the gate is shut. */
  readonly unfiltered: Set<net.Server> = new Set();
  readonly #doubts = new Set<string>();
  readonly #otherDoubts: () => readonly string[];
  readonly #errors: LastCallError[] = [];

  /** `otherDoubts`: what else may be lost, when it reports. */
  constructor(options: CompleteCloseOptions, diagnostics: Channels, otherDoubts: () => readonly string[] = () => []) {
    this.options = options;
    this.diagnostics = diagnostics;
    this.#otherDoubts = otherDoubts;
    this.clock = new CloseClock(options);
  }

  /** A function of the caller's threw `cause`. */
  noteThrown(name: string, cause: unknown): void {
    this.#errors.push(new LastCallError('ERR_CALLBACK', `\`${name}\` threw`, { cause }));
  }

  /** A client may have lost what it was owed, and nothing shows it: why, in one sentence. */
  noteDoubt(sentence: string): void {
    this.#doubts.add(sentence);
  }

  /** What became of it until now. */
  report(listeners: readonly ListenerReport[]): CloseReport {
    const connections = this.accounts.report();
    const doubts = [...this.#doubts, ...this.#otherDoubts()];
    return {
      outcome: connections.cut.length > 0 || doubts.length > 0 ? 'forced' : 'complete',
      duration: this.clock.elapsed(),
      listeners,
      connections,
      doubts,
      errors: this.#errors,
    };
  }
}
