import { constants } from 'node:os';
import { interceptProcessEvent, passProcessEvent } from './process-events.ts';

/**
 * Where the package signal-exit counts its listeners, of its versions 4 and 3: they only end the process where nobody else
 * listens, so they are nobody's wish to end it in a way of its own.
 */
const SIGNAL_EXIT = [
  [globalThis, Symbol.for('signal-exit emitter')],
  [process, '__signal_exit_emitter__'],
] as const;

/**
 * The program's own listeners of the signals that stop a service: held back while they are armed, so that they run after the
 * drain and find nobody left whom they could cut off.
 */
export class HeldListeners {
  readonly #names: readonly NodeJS.Signals[];
  readonly #undo: (() => void)[] = [];
  /** The signals that have come, each once. */
  readonly #pending = new Set<NodeJS.Signals>();
  /** Without a listener there is no signal for Node to tell of. */
  readonly #keep = (): void => {};
  #isRunning = false;

  constructor(names: readonly NodeJS.Signals[]) {
    this.#names = names;
  }

  /** Whether the program has any for a signal that has come. */
  get areDue(): boolean {
    return [...this.#pending].some((name) => this.#hasAnyOf(name));
  }

  /** The stop has this reason: where it is a signal that others of the service got, its listeners are to have it, too. */
  noteReason(reason: string): void {
    const name = this.#names.find((name) => name === reason);
    if (name !== undefined) this.#pending.add(name);
  }

  arm(onSignal: (name: NodeJS.Signals) => void): void {
    for (const name of this.#names) {
      const release = interceptProcessEvent(name, (_, pass) => this.#take(name, pass, onSignal));
      process.on(name, this.#keep);
      this.#undo.push(release, () => process.off(name, this.#keep));
    }
  }

  disarm(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }

  #take(name: NodeJS.Signals, pass: () => boolean, onSignal: (name: NodeJS.Signals) => void): boolean {
    if (this.#isRunning && !this.#hasAnyOf(name)) {
      // A listener that has done its work takes itself off and raises the signal again, so that the process ends of it.
      this.disarm();
      return process.kill(process.pid, name);
    }
    if (!this.#isRunning) this.#pending.add(name);
    onSignal(name);
    return this.#isRunning ? pass() : true;
  }

  #hasAnyOf(name: NodeJS.Signals): boolean {
    return process.listeners(name).filter((listener) => listener !== this.#keep).length > countSignalExit();
  }

  /** Lets them have the signals that came meanwhile, and those that come from now on at once. */
  run(): void {
    this.#isRunning = true;
    for (const name of this.#pending) {
      // Each on its own, as Node does: what a listener throws is uncaught, and no other's business.
      setImmediate(() => passProcessEvent(name, [name, constants.signals[name]]));
    }
  }
}

function countSignalExit(): number {
  return SIGNAL_EXIT.reduce((sum, [holder, key]) => {
    const { count }: { readonly count?: unknown } = Object(Reflect.get(holder, key));
    return sum + (typeof count === 'number' ? count : 0);
  }, 0);
}
