import { isMainThread } from 'node:worker_threads';
import type { CloseOptions } from '../../close/options.ts';
import type { CloseReport } from '../../close/report.ts';
import { isClusterWorker } from '../../listener/origin.ts';
import type { Budget } from '../budget.ts';
import { ClusterPrimary } from './primary.ts';
import { PrimaryLink } from './worker.ts';

/** What this process has to do with the others of its cluster when the service stops. */
export interface ClusterPart {
  /** Whether others of the cluster listen for it. */
  readonly isListening: boolean;
  /** Whether there is anybody with whom the stop has to be agreed upon. */
  readonly hasColleagues: boolean;
  tellStop(reason: string, budget: Budget): void;
  /** Resolves when nobody is lost if this process closes its listeners, or when there is no time to wait for that. */
  mayClose(budget: Budget): Promise<void>;
  /** Closes what listens for others, and waits for them. */
  close(options: CloseOptions, budget: Budget): Promise<CloseReport> | undefined;
  /** Resolves when this process may exit, as it will where it `exits`: nobody is on the way to it any more. */
  report(report: CloseReport, exits: boolean, budget: Budget): Promise<void>;
  /** Nobody is told anything any more. */
  end(): void;
}

/** What is told of the others. */
export interface ClusterObserver {
  /** The first worker listens. */
  onFirst(): void;
  /** None is left that does. */
  onNone(): void;
  /** The primary stops, and this worker with it, in so many milliseconds. */
  onStop(reason: string, deadline: number): void;
}

const ALONE: ClusterPart = {
  isListening: false,
  hasColleagues: false,
  tellStop: () => {},
  mayClose: () => Promise.resolve(),
  close: () => undefined,
  report: () => Promise.resolve(),
  end: () => {},
};

/** `isAll`: the service is all that this process has, its workers included. */
export function findClusterPart(isAll: boolean, observer: ClusterObserver): ClusterPart {
  if (!isMainThread) return ALONE;
  if (isClusterWorker()) return new PrimaryLink(observer);
  return isAll ? new ClusterPrimary(observer) : ALONE;
}
