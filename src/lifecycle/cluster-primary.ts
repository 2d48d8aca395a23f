import type { Address, Cluster, Worker } from 'node:cluster';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { drainPrimary } from '../close/drain-primary.ts';
import type { CloseOptions } from '../close/options.ts';
import { type CloseReport, mergeReports } from '../close/report.ts';
import { hasChildren } from '../linux/processes.ts';
import type { ClusterAddress } from '../listener/listener.ts';
import { AttendingWorker } from './attending-worker.ts';
import type { Budget } from './budget.ts';
import type { ClusterObserver, ClusterPart } from './cluster-part.ts';

/** A worker that is told to stop may be the first of all of them, when a signal goes to a whole group: so long its primary waits for its own. In milliseconds. */
const SIGNAL_MAY_COME = 100;

/** The workers of this process, if it is a cluster's primary, and the sockets that it listens on for them. */
export class ClusterPrimary implements ClusterPart {
  readonly #observer: Pick<ClusterObserver, 'onFirst' | 'onNone'>;
  readonly #workers = new Map<number, AttendingWorker>();
  readonly #addresses = new Map<string, ClusterAddress>();
  readonly #over = new AbortController();
  #isStopping = false;

  constructor(observer: Pick<ClusterObserver, 'onFirst' | 'onNone'>) {
    this.#observer = observer;
    // node:cluster brings much along, and is not loaded for a program without children.
    if (hasChildren()) this.#watch();
    else subscribe('child_process', this.#onChild);
  }

  get isListening(): boolean {
    return this.#listening.length > 0;
  }

  get hasColleagues(): boolean {
    return this.isListening;
  }

  /** Tells every worker to stop. */
  tellStop(reason: string, budget: Budget): void {
    this.#isStopping = true;
    for (const worker of this.#workers.values()) worker.tellStop(reason, budget.drain);
  }

  /** Resolves when every worker would close now. */
  async mayClose({ beforeDrain, soon }: Budget): Promise<void> {
    const limit = AbortSignal.any([AbortSignal.timeout(Math.ceil(beforeDrain)), soon]);
    await Promise.all([...this.#workers.values()].map((worker) => worker.hasAsked(limit)));
  }

  /** Shuts the gates, waits until nobody is left in the queues, lets the workers close, and waits until they are gone. */
  async close(options: CloseOptions, budget: Budget): Promise<CloseReport> {
    const workers = [...this.#workers.values()];
    const { report, release } = await drainPrimary([...this.#addresses.values()], this.#pids, options);
    // The sockets stay bound until this process ends: a program that forks a worker for each that goes makes no new ones.
    this.#over.signal.addEventListener('abort', release);
    for (const worker of workers) worker.letLeave();
    const limit = AbortSignal.any([AbortSignal.timeout(Math.ceil(budget.left)), budget.now]);
    return mergeReports([report, ...(await Promise.all(workers.map((worker) => worker.gone(limit))))]);
  }

  async report(): Promise<void> {}

  end(): void {
    unsubscribe('child_process', this.#onChild);
    this.#over.abort();
  }

  get #listening(): readonly AttendingWorker[] {
    return [...this.#workers.values()].filter((worker) => worker.isListening);
  }

  get #pids(): readonly number[] {
    return [...this.#workers.values()].map(({ pid }) => pid);
  }

  readonly #onChild = (message: unknown): void => onWorker(message, () => this.#watch());

  #watch(): void {
    const cluster = loadCluster();
    if (this.#over.signal.aborted) return;
    unsubscribe('child_process', this.#onChild);
    const attend = (worker: Worker): void => this.#attend(worker);
    const note = (worker: Worker, address: Address): void => this.#noteListening(worker, address);
    for (const worker of Object.values(cluster.workers ?? {})) if (worker !== undefined) this.#attend(worker);
    cluster.on('fork', attend);
    cluster.on('listening', note);
    this.#over.signal.addEventListener('abort', () => {
      cluster.off('fork', attend);
      cluster.off('listening', note);
    });
  }

  #attend(worker: Worker): void {
    if (this.#workers.has(worker.id)) return;
    const attending = new AttendingWorker(worker, () => void this.#answer(attending));
    this.#workers.set(worker.id, attending);
    worker.once('exit', () => {
      this.#workers.delete(worker.id);
      if (this.#listening.length === 0) this.#observer.onNone();
    });
  }

  #noteListening(worker: Worker, address: Address): void {
    this.#attend(worker);
    this.#noteAddress(address);
    const isFirst = this.#listening.length === 0;
    this.#workers.get(worker.id)?.noteListening();
    if (isFirst) this.#observer.onFirst();
  }

  #noteAddress({ addressType, address, port }: Address): void {
    // Of a path the type is -1; of a descriptor that a worker brought there is none, and it is nobody's here.
    if (addressType === -1) this.#addresses.set(address, { path: address });
    else if (port > 0) this.#addresses.set(`${address}:${port}`, { port, address: address ?? undefined });
  }

  /** A worker that stops alone may close at once: the others take over, or Node closes the socket with the last one. */
  async #answer(worker: AttendingWorker): Promise<void> {
    if (this.#isStopping) return;
    const staying = this.#listening.filter((other) => !other.isAsking);
    if (staying.length === 0) await new Promise((resolve) => setTimeout(resolve, SIGNAL_MAY_COME).unref());
    if (!this.#isStopping) worker.letLeave();
  }
}

/** For the channel `child_process`: calls back for a child that may be a worker of a cluster, when cluster knows of it. */
export function onWorker(message: unknown, callback: () => void): void {
  // The channel tells of it before it is started.
  process.nextTick(() => {
    const { process: child }: { readonly process?: unknown } = Object(message);
    const { channel }: { readonly channel?: unknown } = Object(child);
    const isWorker = Boolean(channel) && Object.keys(loadCluster().workers ?? {}).length > 0;
    if (isWorker) callback();
  });
}

/** What `import` has as its default, a built-in module is as a whole. */
function loadCluster(): Cluster {
  const loaded: unknown = process.getBuiltinModule('node:cluster');
  if (!isCluster(loaded)) throw new TypeError('node:cluster is not what it was');
  return loaded;
}

function isCluster(value: unknown): value is Cluster {
  return typeof value === 'object' && value !== null && 'isPrimary' in value && 'fork' in value;
}
