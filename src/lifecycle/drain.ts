import type { CloseOptions } from '../close/options.ts';
import { type CloseProgress, type CloseReport, mergeReports } from '../close/report.ts';
import type { Budget } from './budget.ts';
import type { CompleteLastCallOptions } from './options/options.ts';

/** The closes of one stop: that of the servers, and one for each server that begins to listen during the stop. */
export class Drain {
  readonly #options: CompleteLastCallOptions;
  readonly #budget: Budget;
  readonly #onProgress: (progress: CloseProgress) => void;
  readonly #closes = new Set<Promise<CloseReport>>();

  constructor(options: CompleteLastCallOptions, budget: Budget, onProgress: (progress: CloseProgress) => void) {
    this.#options = options;
    this.#budget = budget;
    this.#onProgress = onProgress;
  }

  /** Begins a close that ends within the budget. */
  begin(close: (options: CloseOptions) => Promise<CloseReport>): void {
    const { close: given, spread } = this.#options;
    const deadline = this.#budget.forDrain;
    const onProgress = (progress: CloseProgress): void => {
      this.#onProgress(progress);
      given.onProgress?.(progress);
    };
    const signal = this.#budget.cutDrain;
    this.#closes.add(close({ ...given, deadline, spread: Math.min(spread, deadline), signal, onProgress }));
  }

  /** Resolves with one report when all closes have ended. */
  async ended(): Promise<CloseReport> {
    const reports: CloseReport[] = [];
    // The loop also visits closes that are added while it waits.
    for (const close of this.#closes) reports.push(await close);
    return mergeReports(reports);
  }
}
