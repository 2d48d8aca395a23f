import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isSignal } from '../../signals.ts';
import { bareListener, isListener, isOurs, type Listener } from './ours.ts';
import { isAddingAgain } from './process-events.ts';

/** The file that added a listener of a signal, by the listener. */
const origins = new WeakMap<Listener, string>();
let isWatching = false;

/**
 * Where the package signal-exit, versions 4 and 3, counts its listeners. They end the process only if there are no others, so
 * they do not count as listeners of the program.
 */
const SIGNAL_EXIT = [
  [globalThis, Symbol.for('signal-exit emitter')],
  [process, '__signal_exit_emitter__'],
] as const;

/** From now on remembers who adds listeners of signals, so that they can be named. */
export function watchOrigins(): void {
  if (isWatching) return;
  isWatching = true;
  process.on('newListener', (name: unknown, listener: unknown) => {
    if (isSignal(name) && isListener(listener) && !isAddingAgain()) noteOrigin(listener);
  });
}

/** The listeners of a signal that are the program's, in their order. Those of `once` remove themselves when they are called. */
export function programListenersOf(name: NodeJS.Signals): readonly Listener[] {
  const all: unknown[] = process.rawListeners(name);
  const others = all.filter(isListener).filter((listener) => !isOurs(listener));
  return others.length <= countSignalExit() ? [] : others.filter((listener) => !isOfSignalExit(bareListener(listener)));
}

/** A listener for people: its name, and its package or file where that is known. */
export function describeListener(listener: Listener): string {
  const { name } = bareListener(listener);
  const from = packageOf(bareListener(listener)) ?? fileOf(bareListener(listener));
  const described = name === '' ? 'a function without a name' : `\`${name}\``;
  return from === undefined ? described : `${described} (${from})`;
}

/** By the stack: whoever called `process.on`, or a method that calls it. */
function noteOrigin(listener: Listener): void {
  const frames = (new Error().stack ?? '').split('\n');
  const added = frames.findIndex((frame) => frame.includes('_addListener (node:events'));
  const callers = frames.slice(added + 1).filter((frame) => !frame.includes('(node:'));
  const file = /(?:\(|at (?:async )?)((?:file:\/)?\/.+?):\d+:\d+\)?$/.exec(callers[0] ?? '')?.[1];
  if (added !== -1 && file !== undefined) origins.set(listener, file.startsWith('file:') ? fileURLToPath(file) : file);
}

function packageOf(listener: Listener): string | undefined {
  return /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(origins.get(listener) ?? '')?.[1];
}

function fileOf(listener: Listener): string | undefined {
  const file = origins.get(listener);
  const below = file === undefined ? undefined : relative(process.cwd(), file);
  return below?.startsWith('..') === true ? file : below;
}

/** By its package; where that is not known, by what versions 4 and 3 call their count. */
function isOfSignalExit(listener: Listener): boolean {
  return packageOf(listener) === 'signal-exit' || /__signal_exit_emitter__|emitter\.count/.test(String(listener));
}

function countSignalExit(): number {
  return SIGNAL_EXIT.reduce((sum, [holder, key]) => {
    const { count }: { readonly count?: unknown } = Object(Reflect.get(holder, key));
    return sum + (typeof count === 'number' ? count : 0);
  }, 0);
}
