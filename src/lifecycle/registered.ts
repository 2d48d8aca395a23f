import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { isMainThread } from 'node:worker_threads';
import { onWorkers } from './cluster/listening.ts';
import { EarlySignals } from './signals/early-signals.ts';
import { completeFromEnvironment } from './environment.ts';
import { HeldListeners } from './signals/held-listeners.ts';
import type { CompleteLastCallOptions } from './options.ts';
import { prepareSignals } from './signals/process-events.ts';
import { Service } from './service.ts';

/** Deno and Bun do not deliver signals through `process.emit`. */
const isNode = !('deno' in process.versions) && !('bun' in process.versions);

/** For all copies of lastcall in this process: the program's own may be another one than the one that was registered. */
const mark = Symbol.for('lastcall.registered');
/** What retires a registered service; once the program has decided, there is none any more. */
type Mark = (() => void) | 'decided by the program' | undefined;

/**
 * Makes a service of whatever this program serves, once its first server listens; before that, and in a program without one,
 * nothing is read, loaded or changed. A wrong variable ends the program then, as an uncaught error.
 */
export function registerService(): void {
  if (!isMainThread) return;
  if (!isNode) {
    process.emitWarning(
      'lastcall/register does nothing here: it is for Node. Call lastCall(server)',
      'LastCallWarning',
    );
    return;
  }
  prepareSignals();
  subscribe('tracing:net.server.listen:asyncStart', holdSignals);
  subscribe('tracing:net.server.listen:error', releaseSignals);
  subscribe('tracing:net.server.listen:asyncEnd', begin);
  // A cluster's primary may listen for its workers without a server.
  onWorkers({ onFork: () => {}, onListening: begin }, new AbortController().signal);
}

/** The program calls `lastCall` itself: what was registered stands back. */
export function leaveToProgram(): void {
  const retire: Mark = Reflect.get(globalThis, mark);
  Reflect.set(globalThis, mark, 'decided by the program');
  if (typeof retire === 'function') retire();
}

const early = new EarlySignals();
/** Read once: a name that is none of ours is warned of. */
let fromEnvironment: CompleteLastCallOptions | undefined;

function holdSignals(): void {
  if (Reflect.get(globalThis, mark) !== undefined) return;
  try {
    fromEnvironment ??= completeFromEnvironment();
    early.hold(fromEnvironment.signals);
  } catch {
    // The same error ends the program once it listens.
  }
}

function releaseSignals(): void {
  early.release();
}

function begin(): void {
  unsubscribe('tracing:net.server.listen:asyncStart', holdSignals);
  unsubscribe('tracing:net.server.listen:error', releaseSignals);
  unsubscribe('tracing:net.server.listen:asyncEnd', begin);
  try {
    beginService();
  } finally {
    releaseSignals();
  }
}

function beginService(): void {
  if (Reflect.get(globalThis, mark) !== undefined) return;
  const options = fromEnvironment ?? completeFromEnvironment();
  // Of all the processes that have the variable the first one that serves has the port.
  delete process.env.LASTCALL_READINESS_SERVER;
  const service = new Service('all', options, new HeldListeners(options.signals));
  Reflect.set(globalThis, mark, () => service.retire());
}
