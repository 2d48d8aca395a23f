import type { Address, Cluster, Worker } from 'node:cluster';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClusterAddress } from '../../listener/listener.ts';
import { onUnseen } from '../../node/fields.ts';
import { isWorkerTells } from './messages.ts';

/** Whoever wants to hear of the workers of this process, which is a cluster's primary then. */
export interface WorkersListener {
  onFork(worker: Worker): void;
  onListening(worker: Worker): void;
}

const listening = new Set<Worker>();
const addresses = new Map<string, { readonly address: ClusterAddress; readonly workers: Set<Worker> }>();
const listeners = new Set<WorkersListener>();
let cluster: Cluster | undefined;

/**
 * Watches workers begin to listen, from now on: nobody can ask a primary later where they do. node:cluster brings much along,
 * and is not loaded before this process has a worker.
 */
export function watchCluster(): void {
  subscribe('child_process', lookForWorker);
}

/** Where workers that are alive listen, or have listened: the primary's sockets stay open as long as one of them does. */
export function clusterAddresses(): readonly ClusterAddress[] {
  return [...addresses.values()].filter(({ workers }) => workers.size > 0).map(({ address }) => address);
}

/** Calls back for the workers that there are, and for those that come, until `signal` aborts. */
export function onWorkers(listener: WorkersListener, signal: AbortSignal): void {
  listeners.add(listener);
  signal.addEventListener('abort', () => listeners.delete(listener));
  for (const worker of Object.values(cluster?.workers ?? {})) if (worker !== undefined) listener.onFork(worker);
  for (const worker of listening) listener.onListening(worker);
}

/** The channel tells of a child before it is started: of a cluster's worker in the same turn. */
function lookForWorker(message: unknown): void {
  process.nextTick(() => {
    const { process: child }: { readonly process?: unknown } = Object(message);
    const { channel }: { readonly channel?: unknown } = Object(child);
    if (cluster === undefined && Boolean(channel)) begin(loadCluster());
  });
}

function begin(found: Cluster): void {
  const workers = Object.values(found.workers ?? {}).filter((worker) => worker !== undefined);
  if (workers.length === 0) return;
  cluster = found;
  unsubscribe('child_process', lookForWorker);
  const tellFork = (worker: Worker): void => {
    // One with lastcall says that it serves: of a socket of its own (`exclusive`) Node tells nobody.
    onUnseen(worker.process, (body) => {
      if (isWorkerTells(body) && body.kind === 'here') noteServing(worker);
    });
    for (const listener of listeners) listener.onFork(worker);
  };
  found.on('fork', tellFork);
  found.on('listening', noteListening);
  found.on('exit', forget);
  for (const worker of workers) tellFork(worker);
}

function noteListening(worker: Worker, { addressType, address, port }: Address): void {
  // Of a path the type is -1; of a descriptor that a worker brought there is no port, and it is nobody's here.
  const wanted = addressType === -1 ? { path: address } : { port, address: address ?? undefined };
  if ('path' in wanted || port > 0) {
    const key = `${address}:${port}`;
    const known = addresses.get(key) ?? { address: wanted, workers: new Set() };
    known.workers.add(worker);
    addresses.set(key, known);
  }
  noteServing(worker);
}

function forget(worker: Worker): void {
  listening.delete(worker);
  for (const { workers } of addresses.values()) workers.delete(worker);
}

function noteServing(worker: Worker): void {
  listening.add(worker);
  for (const listener of listeners) listener.onListening(worker);
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
