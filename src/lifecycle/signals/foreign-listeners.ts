import { printLines } from '../exit/stderr.ts';
import { earlyCallsOf } from './early-calls.ts';
import { describeListener, programListenersOf } from './listener-names.ts';
import { isListener, isOurs } from './ours.ts';
import { interceptProcessEvent, isIntercepted } from './process-events.ts';
import { isHeld } from './program-listeners.ts';

/**
 * The program's listeners of a stop signal where they are not held: they run beside the stop, and the exit does not wait for what
 * they do. Those whose promise is not settled by then may lose it.
 */
export class ForeignListeners {
  readonly #undo: (() => void)[] = [];
  #names: readonly NodeJS.Signals[] = [];
  /** Listeners that are at work, each by its promise. */
  readonly #open = new Map<object, string>();

  /** From now on what they return is kept. Another service that holds or keeps them comes first. */
  arm(names: readonly NodeJS.Signals[]): void {
    this.#names = names;
    for (const name of names.filter((name) => !isIntercepted(name)))
      this.#undo.push(interceptProcessEvent(name, (args) => this.#call(name, args)));
  }

  disarm(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }

  /** Names them on stderr, at once: a listener may exit. */
  print(signal: NodeJS.Signals): void {
    if (isHeld(signal)) return;
    const names = programListenersOf(signal).map(describeListener);
    if (names.length === 0) return;
    printLines(
      `the exit does not wait for the program's own listeners of ${signal}, and may cut what they do: ` +
        `${names.join(', ')}. Remove them, or pass \`holdListeners: true\``,
    );
  }

  /** Which are still at work, for the report. */
  get doubts(): readonly string[] {
    const early = this.#names.filter((name) => !isHeld(name)).flatMap((name) => earlyCallsOf(name));
    const stillOpen = early.filter(({ isSettled }) => !isSettled).map(({ listener }) => describeListener(listener));
    const names = [...stillOpen, ...this.#open.values()];
    return names.length === 0 ? [] : [`the exit cuts what listeners of the program still do: ${names.join(', ')}`];
  }

  /** As Node emits an event: in their order, until one throws. */
  #call(name: NodeJS.Signals, args: readonly unknown[]): boolean {
    const listeners = process.rawListeners(name).filter(isListener);
    const theirs = new Set(programListenersOf(name));
    for (const listener of listeners) {
      const described = theirs.has(listener) && !isOurs(listener) ? describeListener(listener) : undefined;
      const returned: unknown = Reflect.apply(listener, process, args);
      if (described !== undefined && isThenable(returned)) this.#follow(returned, described);
    }
    return listeners.length > 0;
  }

  #follow(promise: PromiseLike<unknown>, described: string): void {
    const key = {};
    this.#open.set(key, described);
    // What it rejects with is unhandled, as it is without lastcall.
    void Promise.resolve(promise).finally(() => this.#open.delete(key));
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof Object(value).then === 'function';
}
