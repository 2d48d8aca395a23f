import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread } from 'node:worker_threads';
import { drainPrimary } from './drain-primary.ts';
import type { CloseOptions } from '../../close/options.ts';
import { type CloseReport, mergeReports } from '../../close/report.ts';
import { noneIsLeft } from '../../close/none-left.ts';
import { listeningServers } from '../../listener/listening.ts';
import { isClusterWorker } from '../../listener/origin.ts';
import { forManyListeners } from '../../node/abort.ts';
import { receiversOf, socketsInTransit } from '../../node/socket-fields.ts';
import type { Budget } from '../budget.ts';
import { clusterAddresses, onWorkers } from './watch-workers.ts';
import type { WorkerLike } from './forked-child.ts';
import { WorkerProcess } from './worker-process.ts';

/** A signal to a whole group may reach one worker first. The primary waits this long for its own, in ms. */
const SIGNAL_MAY_COME = 100;

/** How often to look whether connections have arrived, in ms. */
const LOOK_EVERY = 5;

/** Called when the first worker listens, and when no listening worker is left. */
interface Reactions {
  onFirst(): void;
  onNone(): void;
}

/** Why this process stops, and its time for that. */
interface Stop {
  readonly reason: string;
  readonly budget: Budget;
}

/** This process as the primary of a cluster, which it is once it has workers; undefined if it cannot be one. */
export function findClusterPrimary(reactions: Reactions): ClusterPrimary | undefined {
  return isMainThread && !isClusterWorker() ? new ClusterPrimary(reactions) : undefined;
}

/** The workers of this process, if it is a cluster's primary, and the sockets that it listens on for them. */
export class ClusterPrimary {
  readonly #reactions: Reactions;
  readonly #workers = new Map<WorkerLike, WorkerProcess>();
  /** Those that were there when the stop began, or have come since. */
  readonly #stopping: WorkerProcess[] = [];
  readonly #ended = forManyListeners();
  #stop: Stop | undefined;
  #isDrained = false;
  /** Whether servers of this process may send connections to the workers, which must not leave before. */
  #sendsConnections = false;

  constructor(reactions: Reactions) {
    this.#reactions = reactions;
    onWorkers(
      (worker) => this.#add(worker),
      (worker) => this.#noteListening(worker),
      this.#ended.signal,
    );
  }

  /** Whether a worker listens. */
  get isListening(): boolean {
    return this.#listening.length > 0;
  }

  /** Stops every worker, later ones too. */
  stopWorkers(reason: string, budget: Budget): void {
    this.#stop = { reason, budget };
    const receivers = listeningServers().flatMap(receiversOf);
    for (const { child } of receivers) this.#workerOf(child)?.noteListening();
    // Where no worker listens, a server of this process may be about to send its first connection.
    this.#sendsConnections = receivers.length > 0 || (clusterAddresses().length === 0 && listeningServers().length > 0);
    for (const worker of this.#workers.values()) this.#stopWorker(worker, this.#stop, false);
  }

  /** Resolves when every worker asks to close, or when the time for that is up. */
  async allAsk({ forFirstHook, skipLameDuck }: Budget): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.asks(forFirstHook, skipLameDuck)));
  }

  /** Shuts the gates, waits until the queues are empty, lets the workers close, and waits until they have gone. */
  async close(options: CloseOptions, budget: Budget): Promise<CloseReport> {
    const draining = drainPrimary(clusterAddresses(), this.#pids, options);
    if (this.#sendsConnections) await allSent(budget.forDrain);
    const { report, release } = await draining;
    // The sockets stay bound until this process ends: a worker that the program forks anew cannot make others.
    this.#ended.signal.addEventListener('abort', release);
    this.#isDrained = true;
    for (const worker of this.#workers.values()) worker.letLeave();
    const reports = [report];
    // Workers that the program forks anew from now on are stopped too, but not waited for.
    const leaving = [...this.#stopping];
    for (const worker of leaving) reports.push(await worker.gone(budget.forDrain, budget.cutDrain));
    return mergeReports(reports);
  }

  end(): void {
    this.#ended.abort();
  }

  get #listening(): readonly WorkerProcess[] {
    return [...this.#workers.values()].filter((worker) => worker.isListening);
  }

  get #pids(): readonly number[] {
    return [...this.#workers.values()].map(({ pid }) => pid);
  }

  #workerOf(child: unknown): WorkerProcess | undefined {
    return [...this.#workers.values()].find((worker) => worker.isOf(child));
  }

  #add(worker: WorkerLike): void {
    if (this.#workers.has(worker)) return;
    const added = new WorkerProcess(worker, () => void this.#answer(added));
    this.#workers.set(worker, added);
    if (this.#stop !== undefined) this.#stopWorker(added, this.#stop, true);
    if (this.#isDrained) added.letLeave();
    worker.once('exit', () => {
      this.#workers.delete(worker);
      if (this.#listening.length === 0) this.#reactions.onNone();
    });
  }

  #stopWorker(worker: WorkerProcess, { reason, budget }: Stop, isStarting: boolean): void {
    this.#stopping.push(worker);
    // It has to be gone before the time of this process is up.
    worker.stop(reason, (budget.forDrain * 9) / 10, isStarting);
  }

  #noteListening(worker: WorkerLike): void {
    const isFirst = this.#listening.length === 0;
    this.#workers.get(worker)?.noteListening();
    if (isFirst) this.#reactions.onFirst();
  }

  /** A worker that stops alone may close at once: the others take over, or Node closes the socket with the last one. */
  async #answer(worker: WorkerProcess): Promise<void> {
    if (this.#stop !== undefined) return;
    const staying = this.#listening.filter((other) => !other.isAsking);
    if (staying.length === 0) await new Promise((resolve) => setTimeout(resolve, SIGNAL_MAY_COME).unref());
    if (this.#stop === undefined) worker.letLeave();
  }
}

/** Resolves when no connection of this process's closes can be sent to a worker, and each that was sent has arrived. */
async function allSent(most: number): Promise<void> {
  const until = performance.now() + most;
  await noneIsLeft();
  while (socketsInTransit() > 0 && performance.now() < until) await sleep(LOOK_EVERY);
}
