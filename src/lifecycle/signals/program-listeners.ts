import type net from 'node:net';
import { constants } from 'node:os';
import { SECOND_AFTER } from '../../signals.ts';
import type { Drain } from '../drain.ts';
import { HeldExit } from '../exit/held-exit.ts';
import { onStandstill } from '../standstill.ts';
import { allWorkDone } from '../work.ts';
import { earlyCallsOf } from './early-calls.ts';
import { ListenerCalls } from './listener-calls.ts';
import { programListenersOf } from './listener-names.ts';
import { isOurs, markOurs } from './ours.ts';
import { interceptProcessEvent } from './process-events.ts';

/** Who holds listeners now: several services of a process may. */
const holders = new Set<ProgramListeners>();
/** The calls of their listeners: the first one of the holders makes them for all. */
let common: ListenerCalls | undefined;
const heldExit = new HeldExit();

/** Whether a service of this process holds the program's listeners of this signal, and waits for them. */
export function isHeld(name: NodeJS.Signals): boolean {
  return [...holders].some((holder) => holder.holds(name));
}

/** The program's own listeners of the stop signals. While held they wait; they run after the drain, when no client is left. */
export class ProgramListeners {
  readonly #names: readonly NodeJS.Signals[];
  readonly #undo: (() => void)[] = [];
  /** The signals that have come, each once. */
  readonly #pending = new Set<NodeJS.Signals>();
  #calls: ListenerCalls | undefined;
  #isDraining = false;
  #firstAt: number | undefined;
  /** What a listener has raised again to end the process, during the drain. */
  #raised: NodeJS.Signals | undefined;

  constructor(names: readonly NodeJS.Signals[]) {
    this.#names = names;
  }

  /** Whether the program has a listener for a signal that has come, or has had one that has been called. */
  get areDue(): boolean {
    return (
      this.#calls !== undefined || [...this.#pending].some((name) => hasAnyOf(name) || earlyCallsOf(name).length > 0)
    );
  }

  /** The reason of the stop may be a signal that another process of the service got. Its listeners run too. */
  noteReason(reason: string): void {
    const name = this.#names.find((name) => name === reason);
    if (name !== undefined) this.#pending.add(name);
  }

  hold(onSignal: (name: NodeJS.Signals) => void): void {
    // Node delivers only signals that have a listener. It is called by another copy of lastcall that holds the signal too, or
    // where somebody emits the signal past the wrapper of `process.emit`.
    const placeholder = markOurs((name: NodeJS.Signals): void => {
      this.#note(name, onSignal);
    });
    holders.add(this);
    for (const name of this.#names) {
      const release = interceptProcessEvent(name, (_, pass) => this.#take(name, pass, onSignal));
      process.on(name, placeholder);
      this.#undo.push(release, () => process.off(name, placeholder));
    }
  }

  letGo(): void {
    for (const undo of this.#undo.splice(0)) undo();
    holders.delete(this);
    if (holders.size === 0) common = undefined;
  }

  holds(name: NodeJS.Signals): boolean {
    return this.#names.includes(name);
  }

  /** Calls the listeners of the signals that have come, once. Later signals reach their listeners at once. */
  run(): ListenerCalls {
    if (this.#calls !== undefined) return this.#calls;
    common ??= new ListenerCalls();
    this.#calls = common;
    for (const name of this.#pending) common.plan(name, programListenersOf(name));
    return common;
  }

  /**
   * What is left of the drain may be for them to end: long polls, endless streams. So they are called when the drain stands still,
   * or when half of its time is over.
   */
  runWhenStill(servers: () => readonly net.Server[], drain: Drain): void {
    const ended = new AbortController();
    void drain.ended().then(() => ended.abort());
    onStandstill(servers, { ...drain.patience, signal: ended.signal }, () => this.#runInDrain());
  }

  /** Calls them while clients are still served. What would end the process waits until `endDrain`. */
  #runInDrain(): void {
    this.#isDraining = true;
    heldExit.hold();
    this.run();
  }

  /** Nobody is served any more. Returns whether the program has called `process.exit` since they were called during the drain. */
  endDrain(): boolean {
    this.#isDraining = false;
    if (this.#raised !== undefined) this.#raise(this.#raised);
    return heldExit.release();
  }

  #take(name: NodeJS.Signals, pass: () => boolean, onSignal: (name: NodeJS.Signals) => void): boolean {
    if (this.#calls === undefined) {
      // Other services of this process, and other copies of lastcall, stop now too.
      for (const listener of process.listeners(name).filter(isOurs)) {
        Reflect.apply(listener, process, [name, constants.signals[name]]);
      }
      return true;
    }
    if (!hasAnyOf(name)) {
      if (this.#isDraining) this.#raised = name;
      else if (this.#isFirstAgain) void this.#raiseWhenDone(name, this.#calls);
      else this.#raise(name);
      return true;
    }
    onSignal(name);
    return pass();
  }

  /** What a listener has rejected with is uncaught first: Node tells of it when the promises of this turn are done. */
  async #raiseWhenDone(name: NodeJS.Signals, calls: ListenerCalls): Promise<void> {
    await calls.settled();
    await allWorkDone();
    setImmediate(() => this.#raise(name));
  }

  /** A listener may remove itself when it has finished, and raise the signal again to end the process. */
  #raise(name: NodeJS.Signals): void {
    this.letGo();
    process.kill(process.pid, name);
  }

  /** A supervisor that sends the signal twice at once means one (npm passes it on, and the process group has it too). */
  get #isFirstAgain(): boolean {
    return this.#firstAt !== undefined && performance.now() - this.#firstAt < SECOND_AFTER;
  }

  #note(name: NodeJS.Signals, onSignal: (name: NodeJS.Signals) => void): void {
    this.#pending.add(name);
    this.#firstAt ??= performance.now();
    onSignal(name);
  }
}

function hasAnyOf(name: NodeJS.Signals): boolean {
  return programListenersOf(name).length > 0;
}
