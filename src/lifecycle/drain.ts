import type net from 'node:net';
import { channels } from '../close/diagnostics.ts';
import type { CloseOptions } from '../close/options.ts';
import { type CloseProgress, type CloseReport, mergeReports } from '../close/report.ts';
import { closeAndPublish } from '../servers/graceful-close.ts';
import type { Budget } from './budget.ts';
import type { CompleteLastCallOptions } from './options/options.ts';

/** The closes of one stop: that of the servers, and one for each server that begins to listen during the stop. */
export class Drain {
  readonly #options: CompleteLastCallOptions;
  readonly #budget: Budget;
  readonly #doubts: () => readonly string[];
  readonly #onProgress: (progress: CloseProgress) => void;
  readonly #closes = new Set<Promise<CloseReport>>();

  /** `doubts`: what else may be lost, when a close reports. */
  constructor(
    options: CompleteLastCallOptions,
    budget: Budget,
    doubts: () => readonly string[],
    onProgress: (progress: CloseProgress) => void,
  ) {
    this.#options = options;
    this.#budget = budget;
    this.#doubts = doubts;
    this.#onProgress = onProgress;
  }

  /** Begins to close these servers. */
  close(servers: readonly net.Server[]): void {
    this.begin((options) => closeAndPublish(servers, options, channels, this.#doubts));
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

  /** What a part of the drain is measured by: quiet for so long, and half of its time, in ms. */
  get patience(): { readonly quietFor: number; readonly most: number } {
    return { quietFor: this.#options.idleWait, most: this.#budget.forDrain / 2 };
  }

  /** Resolves with one report when all closes have ended. */
  async ended(): Promise<CloseReport> {
    const reports: CloseReport[] = [];
    // The loop also visits closes that are added while it waits.
    for (const close of this.#closes) reports.push(await close);
    return mergeReports(reports);
  }
}
