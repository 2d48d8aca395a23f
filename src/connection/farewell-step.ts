import type { EndingHost } from './ending-host.ts';

/** How far the farewell on one connection has come; each step is counted once. */
export class FarewellStep {
  readonly #host: Pick<EndingHost, 'countSaid' | 'countAnswered'>;
  #step: 'to say' | 'said' | 'answered' | 'unanswered' = 'to say';

  constructor(host: Pick<EndingHost, 'countSaid' | 'countAnswered'>) {
    this.#host = host;
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
    this.#host.countSaid();
  }

  noteAnswered(): void {
    if (this.#step !== 'said') return;
    this.#step = 'answered';
    this.#host.countAnswered();
  }

  /** The peer's end that comes later is no answer. */
  noteUnanswered(): void {
    if (this.#step === 'said') this.#step = 'unanswered';
  }
}
