import type { HeldProcess } from '../../linux/process/pidfd.ts';
import { SECOND_AFTER } from '../../signals.ts';

// The program counts from when it got the first signal, which may be later than when it was sent; in ms.
const SECOND_LATER = SECOND_AFTER + 100;

/** What the second signal depends on. */
export interface SecondSignalOptions {
  readonly signal: NodeJS.Signals;
  /** Aborted by the second request to stop. */
  readonly now: AbortSignal;
  /** Whether the program knows what a second signal means. Default: no. */
  readonly knowsSecondSignal?: boolean;
}

/** The second request to stop, for a program that knows what it means: it gets the stop signal once more. */
export class SecondSignal {
  readonly #process: HeldProcess;
  readonly #options: SecondSignalOptions;
  #isDue = false;

  constructor(process: HeldProcess, options: SecondSignalOptions) {
    this.#process = process;
    this.#options = options;
  }

  /** The program has got the first signal. A second request that has only hastened it is used up. */
  noteFirst(): void {
    const { knowsSecondSignal = false, now } = this.#options;
    this.#isDue = knowsSecondSignal && !now.aborted;
  }

  /** Sends the signal if it was asked for, `sinceFirst` ms after the first one. */
  handOn(sinceFirst: number): void {
    const { now, signal } = this.#options;
    if (!this.#isDue || !now.aborted || !(sinceFirst >= SECOND_LATER)) return;
    this.#isDue = false;
    this.#process.signal(signal);
  }
}
