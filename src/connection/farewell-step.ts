import type { ConnectionAccounts } from '../close/accounts.ts';

/** How far the farewell on one connection is; each step is counted once. */
export class FarewellStep {
  readonly #accounts: ConnectionAccounts;
  #step: 'to say' | 'said' | 'answered' | 'unanswered' = 'to say';

  constructor(accounts: ConnectionAccounts) {
    this.#accounts = accounts;
  }

  get isToSay(): boolean {
    return this.#step === 'to say';
  }

  /** Said, and neither answered nor given up. */
  get awaitsAnswer(): boolean {
    return this.#step === 'said';
  }

  noteSaid(): void {
    if (this.#step !== 'to say') return;
    this.#step = 'said';
    this.#accounts.countSaid();
  }

  noteAnswered(): void {
    if (this.#step !== 'said') return;
    this.#step = 'answered';
    this.#accounts.countAnswered();
  }

  /** The peer's end that comes later is no answer. */
  noteUnanswered(): void {
    if (this.#step === 'said') this.#step = 'unanswered';
  }
}
