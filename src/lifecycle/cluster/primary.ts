import type { Worker } from 'node:cluster';
import { drainPrimary } from './drain-primary.ts';
import type { CloseOptions } from '../../close/options.ts';
import { type CloseReport, mergeReports } from '../../close/report.ts';
import { forManyListeners } from '../../node/abort.ts';
import { AttendingWorker } from './attending-worker.ts';
import { clusterAddresses, onWorkers } from './listening.ts';
import type { Budget } from '../budget.ts';
import type { ClusterObserver, ClusterPart } from './part.ts';

/** A worker that is told to stop may be the first of all of them, when a signal goes to a whole group: so long its primary waits for its own. In milliseconds. */
const SIGNAL_MAY_COME = 100;

/** Why this process stops, and how long that may take. */
interface Stop {
  readonly reason: string;
  readonly budget: Budget;
}

/** The workers of this process, if it is a cluster's primary, and the sockets that it listens on for them. */
export class ClusterPrimary implements ClusterPart {
  readonly #observer: Pick<ClusterObserver, 'onFirst' | 'onNone'>;
  readonly #workers = new Map<number, AttendingWorker>();
  /** Those that were there when the stop began, or have come since. */
  readonly #stopping: AttendingWorker[] = [];
  readonly #over = forManyListeners();
  /** Once this process stops. */
  #stop: Stop | undefined;
  #isDrained = false;

  constructor(observer: Pick<ClusterObserver, 'onFirst' | 'onNone'>) {
    this.#observer = observer;
    onWorkers(
      { onFork: (worker) => this.#attend(worker), onListening: (worker) => this.#noteListening(worker) },
      this.#over.signal,
    );
  }

  get isListening(): boolean {
    return this.#listening.length > 0;
  }

  get hasColleagues(): boolean {
    return this.isListening;
  }

  /** Tells every worker to stop, those that come later, too. */
  tellStop(reason: string, budget: Budget): void {
    this.#stop = { reason, budget };
    for (const worker of this.#workers.values()) this.#tellWorker(worker, this.#stop, false);
  }

  /** Resolves when every worker would close now. */
  async mayClose({ beforeDrain, soon }: Budget): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.hasAsked(beforeDrain, soon)));
  }

  /** Shuts the gates, waits until nobody is left in the queues, lets the workers close, and waits until they are gone. */
  async close(options: CloseOptions, budget: Budget): Promise<CloseReport> {
    const { report, release } = await drainPrimary(clusterAddresses(), this.#pids, options);
    // The sockets stay bound until this process ends: a program that forks a worker for each that goes makes no new ones.
    this.#over.signal.addEventListener('abort', release);
    this.#isDrained = true;
    for (const worker of this.#workers.values()) worker.letLeave();
    const reports = [report];
    // Nobody waits for those that a program makes anew for each that has gone; they have been told.
    const leaving = [...this.#stopping];
    for (const worker of leaving) reports.push(await worker.gone(budget.drain, budget.now));
    return mergeReports(reports);
  }

  async report(): Promise<void> {}

  end(): void {
    this.#over.abort();
  }

  get #listening(): readonly AttendingWorker[] {
    return [...this.#workers.values()].filter((worker) => worker.isListening);
  }

  get #pids(): readonly number[] {
    return [...this.#workers.values()].map(({ pid }) => pid);
  }

  #attend(worker: Worker): void {
    if (this.#workers.has(worker.id)) return;
    const attending = new AttendingWorker(worker, () => void this.#answer(attending));
    this.#workers.set(worker.id, attending);
    if (this.#stop !== undefined) this.#tellWorker(attending, this.#stop, true);
    if (this.#isDrained) attending.letLeave();
    worker.once('exit', () => {
      this.#workers.delete(worker.id);
      if (this.#listening.length === 0) this.#observer.onNone();
    });
  }

  #tellWorker(worker: AttendingWorker, { reason, budget }: Stop, isStarting: boolean): void {
    this.#stopping.push(worker);
    // It has to be gone before this process's own time is over.
    worker.tellStop(reason, (budget.drain * 9) / 10, isStarting);
  }

  #noteListening(worker: Worker): void {
    const isFirst = this.#listening.length === 0;
    this.#workers.get(worker.id)?.noteListening();
    if (isFirst) this.#observer.onFirst();
  }

  /** A worker that stops alone may close at once: the others take over, or Node closes the socket with the last one. */
  async #answer(worker: AttendingWorker): Promise<void> {
    if (this.#stop !== undefined) return;
    const staying = this.#listening.filter((other) => !other.isAsking);
    if (staying.length === 0) await new Promise((resolve) => setTimeout(resolve, SIGNAL_MAY_COME).unref());
    if (this.#stop === undefined) worker.letLeave();
  }
}
