import { constants } from 'node:os';
import { emitToListeners, interceptProcessEvent } from './process-events.ts';

/**
 * Where the package signal-exit, versions 4 and 3, counts its listeners. They end the process only if there are no others, so
 * they do not count as listeners of the program.
 */
const SIGNAL_EXIT = [
  [globalThis, Symbol.for('signal-exit emitter')],
  [process, '__signal_exit_emitter__'],
] as const;

/** The program's own listeners of the stop signals. While held they wait; they run after the drain, when no client is left. */
export class ProgramListeners {
  readonly #names: readonly NodeJS.Signals[];
  readonly #undo: (() => void)[] = [];
  /** The signals that have come, each once. */
  readonly #pending = new Set<NodeJS.Signals>();
  /** Node delivers only signals that have a listener. */
  readonly #placeholder = (): void => {};
  #isRunning = false;

  constructor(names: readonly NodeJS.Signals[]) {
    this.#names = names;
  }

  /** Whether the program has a listener for a signal that has come. */
  get areDue(): boolean {
    return [...this.#pending].some((name) => this.#hasAnyOf(name));
  }

  /** The reason of the stop may be a signal that another process of the service got. Its listeners run too. */
  noteReason(reason: string): void {
    const name = this.#names.find((name) => name === reason);
    if (name !== undefined) this.#pending.add(name);
  }

  hold(onSignal: (name: NodeJS.Signals) => void): void {
    for (const name of this.#names) {
      const release = interceptProcessEvent(name, (_, pass) => this.#take(name, pass, onSignal));
      process.on(name, this.#placeholder);
      this.#undo.push(release, () => process.off(name, this.#placeholder));
    }
  }

  letGo(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }

  #take(name: NodeJS.Signals, pass: () => boolean, onSignal: (name: NodeJS.Signals) => void): boolean {
    if (this.#isRunning && !this.#hasAnyOf(name)) {
      // A listener may remove itself when it has finished, and raise the signal again to end the process.
      this.letGo();
      return process.kill(process.pid, name);
    }
    if (!this.#isRunning) this.#pending.add(name);
    onSignal(name);
    return this.#isRunning ? pass() : true;
  }

  #hasAnyOf(name: NodeJS.Signals): boolean {
    return process.listeners(name).filter((listener) => listener !== this.#placeholder).length > countSignalExit();
  }

  /** Runs the listeners of the signals that have come. Later signals reach their listeners at once. */
  run(): void {
    this.#isRunning = true;
    for (const name of this.#pending) {
      // In a turn each, as Node does: an error that a listener throws is uncaught, and does not stop the others.
      setImmediate(() => emitToListeners(name, [name, constants.signals[name]]));
    }
  }
}

function countSignalExit(): number {
  return SIGNAL_EXIT.reduce((sum, [holder, key]) => {
    const { count }: { readonly count?: unknown } = Object(Reflect.get(holder, key));
    return sum + (typeof count === 'number' ? count : 0);
  }, 0);
}
