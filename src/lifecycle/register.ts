import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { isMainThread } from 'node:worker_threads';
import { onFed } from '../connection/handed-over/fed-servers.ts';
import { onWorkers } from './cluster/watch-workers.ts';
import { completeFromEnvironment } from './options/environment.ts';
import type { CompleteLastCallOptions } from './options/options.ts';
import { Service } from './service.ts';
import { EarlySignals } from './signals/early-signals.ts';
import { prepareSignals } from './signals/process-events.ts';
import { ProgramListeners } from './signals/program-listeners.ts';
import { findRun, tellOutcome, tellRunOfService, tellRunOfThreads } from './tell-run.ts';
import { warn } from './warn.ts';

/** Deno and Bun do not deliver signals through `process.emit`. */
const isNode = !('deno' in process.versions) && !('bun' in process.versions);

/** Shared by all copies of lastcall in this process: the program's own copy may be another one than the registered one. */
const mark = Symbol.for('lastcall.registered');
/** A function that retires the registered service, or that the program has decided itself. */
type Mark = (() => void) | 'decided by the program' | undefined;

/**
 * Makes a service of all servers of this program when the first one listens. Before that, and in a program without servers,
 * nothing is read, loaded or changed. A wrong variable then ends the program, as an uncaught error.
 */
export function registerService(): void {
  if (!isMainThread) return tellRunOfThreads();
  if (!isNode) return warn('lastcall/register does nothing here: it is for Node. Call lastCall(server)');
  findRun();
  prepareSignals();
  subscribe('tracing:net.server.listen:asyncStart', holdSignals);
  subscribe('tracing:net.server.listen:error', releaseSignals);
  subscribe('tracing:net.server.listen:asyncEnd', begin);
  // A cluster's primary may listen for its workers without a server.
  onWorkers(() => {}, begin, new AbortController().signal);
  // A worker that is sent its connections may never listen.
  onFed(begin, fed.signal);
}

/** The program calls `lastCall` itself: the registered service retires. */
export function leaveToProgram(): void {
  const retire: Mark = Reflect.get(globalThis, mark);
  Reflect.set(globalThis, mark, 'decided by the program');
  if (typeof retire === 'function') retire();
}

/** The program's own listeners of these signals, to be held. Undefined where they cannot be. */
export function holdListeners(signals: readonly NodeJS.Signals[]): ProgramListeners | undefined {
  if (!isMainThread) return undefined;
  if (!isNode) {
    warn('`holdListeners` does nothing here: it is for Node');
    return undefined;
  }
  prepareSignals();
  return new ProgramListeners(signals);
}

const early = new EarlySignals();
const fed = new AbortController();
/** Read once, so that an unknown variable causes one warning. */
let fromEnvironment: CompleteLastCallOptions | undefined;

function holdSignals(): void {
  if (Reflect.get(globalThis, mark) !== undefined) return;
  try {
    fromEnvironment ??= completeFromEnvironment();
    early.hold(fromEnvironment.signals);
  } catch {
    // The same error ends the program when it listens.
  }
}

function releaseSignals(): void {
  early.release();
}

function begin(): void {
  unsubscribe('tracing:net.server.listen:asyncStart', holdSignals);
  unsubscribe('tracing:net.server.listen:error', releaseSignals);
  unsubscribe('tracing:net.server.listen:asyncEnd', begin);
  fed.abort();
  tellRunOfService();
  try {
    beginService();
  } finally {
    releaseSignals();
  }
}

function beginService(): void {
  if (Reflect.get(globalThis, mark) !== undefined) return;
  const options = fromEnvironment ?? completeFromEnvironment();
  // Child processes inherit the variables. Only the first process that serves has the port.
  delete process.env.LASTCALL_READINESS_SERVER;
  const service = new Service('all', options, new ProgramListeners(options.signals));
  // Its report has what came of its workers, too.
  void service.closed.then(tellOutcome);
  Reflect.set(globalThis, mark, () => service.retire());
}
