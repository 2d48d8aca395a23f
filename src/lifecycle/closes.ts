import type net from 'node:net';
import { gracefulClose } from '../servers/graceful-close.ts';
import type { CloseOptions } from '../close/options.ts';
import { type CloseProgress, type CloseReport, mergeReports } from '../close/report.ts';
import type { Budget } from './budget.ts';
import type { ClusterPart } from './cluster/part.ts';
import type { CompleteLastCallOptions } from './options.ts';

/** The closes of one stop: that of the servers, and one more for each server that begins to listen meanwhile. */
export class Closes {
  readonly #options: CompleteLastCallOptions;
  readonly #onProgress: (progress: CloseProgress) => void;
  readonly #underWay = new Set<Promise<CloseReport>>();

  constructor(options: CompleteLastCallOptions, onProgress: (progress: CloseProgress) => void) {
    this.#options = options;
    this.#onProgress = onProgress;
  }

  begin(servers: readonly net.Server[], budget: Budget): void {
    this.#underWay.add(gracefulClose(servers, this.#optionsWithin(budget)));
  }

  /** What a cluster's primary listens on for its workers. */
  beginForOthers(cluster: ClusterPart, budget: Budget): void {
    const closing = cluster.close(this.#optionsWithin(budget), budget);
    if (closing !== undefined) this.#underWay.add(closing);
  }

  /** Resolves when all are over, with one report. */
  async allOver(): Promise<CloseReport> {
    const reports: CloseReport[] = [];
    // Those that come meanwhile are in the set, too.
    for (const closing of this.#underWay) reports.push(await closing);
    return mergeReports(reports);
  }

  #optionsWithin(budget: Budget): CloseOptions {
    const { close, spread } = this.#options;
    const deadline = budget.drain;
    const onProgress = (progress: CloseProgress): void => {
      this.#onProgress(progress);
      close.onProgress?.(progress);
    };
    return { ...close, deadline, spread: Math.min(spread, deadline), signal: budget.now, onProgress };
  }
}
