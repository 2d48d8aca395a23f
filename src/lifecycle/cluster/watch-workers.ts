import { ChildProcess } from 'node:child_process';
import type { Address, Cluster, Worker } from 'node:cluster';
import { subscribe } from 'node:diagnostics_channel';
import type { ClusterAddress } from '../../listener/listener.ts';
import { onUnseen } from '../../node/fields.ts';
import { ForkedChild, type WorkerLike } from './forked-child.ts';
import { isWorkerMessage } from './messages.ts';

type OnWorker = (worker: WorkerLike) => void;

const listening = new Set<WorkerLike>();
/** Children of child_process.fork that have told that they were sent connections. */
const forked = new Map<ChildProcess, ForkedChild>();
const addresses = new Map<string, { readonly address: ClusterAddress; readonly workers: Set<WorkerLike> }>();
const onForks = new Set<OnWorker>();
const onListens = new Set<OnWorker>();
let cluster: Cluster | undefined;

/**
 * Watches workers begin to listen, from now on: a primary cannot be asked later where they listen. node:cluster is large, and
 * is loaded only when this process has a worker.
 */
export function watchCluster(): void {
  subscribe('child_process', lookForWorker);
}

/** Where living workers listen, or have listened. The primary's sockets stay open as long as one of them lives. */
export function clusterAddresses(): readonly ClusterAddress[] {
  return [...addresses.values()].filter(({ workers }) => workers.size > 0).map(({ address }) => address);
}

/** Calls back for each worker, now and later, and for each one that listens, until `signal` aborts. */
export function onWorkers(onFork: OnWorker, onListen: OnWorker, signal: AbortSignal): void {
  onForks.add(onFork);
  onListens.add(onListen);
  signal.addEventListener('abort', () => {
    onForks.delete(onFork);
    onListens.delete(onListen);
  });
  for (const worker of Object.values(cluster?.workers ?? {})) if (worker !== undefined) onFork(worker);
  for (const child of forked.values()) onFork(child);
  for (const worker of listening) onListen(worker);
}

/** The channel publishes a child before it is started, a worker in the same turn of the loop. */
function lookForWorker(message: unknown): void {
  process.nextTick(() => {
    const { process: child }: { readonly process?: unknown } = Object(message);
    if (!(child instanceof ChildProcess) || !child.channel) return;
    if (cluster === undefined) begin(loadCluster());
    const isWorker = Object.values(cluster?.workers ?? {}).some((worker) => worker?.process === child);
    if (!isWorker) watchChild(child);
  });
}

/** One with lastcall tells when it has been sent a connection. */
function watchChild(child: ChildProcess): void {
  onUnseen(child, (body) => {
    if (forked.has(child) || !isWorkerMessage(body) || body.kind !== 'here') return;
    const worker = new ForkedChild(child);
    forked.set(child, worker);
    child.once('exit', () => {
      forked.delete(child);
      forget(worker);
    });
    for (const onFork of onForks) onFork(worker);
    noteServing(worker);
  });
}

function begin(found: Cluster): void {
  const workers = Object.values(found.workers ?? {}).filter((worker) => worker !== undefined);
  if (workers.length === 0) return;
  cluster = found;
  found.on('fork', noteFork);
  found.on('listening', noteListening);
  found.on('exit', forget);
  for (const worker of workers) noteFork(worker);
}

function noteFork(worker: Worker): void {
  // A worker with lastcall sends that it serves: Node does not report a socket of its own (`exclusive`).
  onUnseen(worker.process, (body) => {
    if (isWorkerMessage(body) && body.kind === 'here') noteServing(worker);
  });
  for (const onFork of onForks) onFork(worker);
}

function noteListening(worker: Worker, { addressType, address, port }: Address): void {
  // The type of a path is -1. A descriptor that a worker brought has no port, and is not the primary's.
  const wanted = addressType === -1 ? { path: address } : { port, address: address ?? undefined };
  if ('path' in wanted || port > 0) {
    const key = `${address}:${port}`;
    const known = addresses.get(key) ?? { address: wanted, workers: new Set() };
    known.workers.add(worker);
    addresses.set(key, known);
  }
  noteServing(worker);
}

function forget(worker: WorkerLike): void {
  listening.delete(worker);
  for (const { workers } of addresses.values()) workers.delete(worker);
}

function noteServing(worker: WorkerLike): void {
  listening.add(worker);
  for (const onListen of onListens) onListen(worker);
}

/** A built-in module is as a whole what `import` has as its default. */
function loadCluster(): Cluster {
  const loaded: unknown = process.getBuiltinModule('node:cluster');
  if (!isCluster(loaded)) throw new TypeError('node:cluster is not what it was');
  return loaded;
}

function isCluster(value: unknown): value is Cluster {
  return typeof value === 'object' && value !== null && 'isPrimary' in value && 'fork' in value;
}
