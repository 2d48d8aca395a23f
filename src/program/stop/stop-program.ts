import { SECOND_AFTER } from '../../signals.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HeldProcess } from '../../linux/process/pidfd.ts';
import type { CookieCounters } from '../../linux/tables/tcp-counters.ts';
import { mayReopen } from '../gate/program-gate.ts';
import { readTraffic } from '../gate/traffic.ts';
import type { StopReport } from '../report.ts';
import { awaitEmptyQueues, type Pending, readPending } from './await-empty-queues.ts';
import { rememberGates } from './left-shut.ts';
import { ProgramGates } from './program-gates.ts';

/** The program to stop. */
export interface StoppedProgram {
  readonly process: HeldProcess;
  readonly command: string;
  /** Listeners that this process has opened for it: descriptors here by the socket's inode. */
  readonly own: ReadonlyMap<number, number>;
  /** The counters of SYN cookies when it started; undefined if it was already running. */
  readonly cookies?: CookieCounters | undefined;
  /**
   * Whether the caller ends the processes that it leaves running, as `lastcall run` does. If not, the program has ended once no
   * process holds a listener whose gate was shut.
   */
  readonly callerEndsTheRest: boolean;
  /** Kills it, and all that belongs to it. */
  kill(): void;
}

/** How to stop a program. */
export interface StopOptions {
  readonly reason: string;
  readonly signal: NodeJS.Signals;
  /** From the start of the stop, in ms. */
  readonly deadline: number;
  /** Whether to kill it if it is still running at the deadline. */
  readonly mayKill: boolean;
  /** Aborted to send the signal at once. */
  readonly now: AbortSignal;
  /** Aborted to end the stop at once, as at the deadline. */
  readonly giveUp?: AbortSignal;
  /** Whether a second signal tells the program to hurry: it then gets its signal again, once `now` is aborted. */
  readonly knowsSecondSignal?: boolean;
  /** Why no gate may be shut; undefined if they may. */
  readonly noGates?: string | undefined;
  /** Called about ten times a second. */
  readonly onProgress?: (phase: StopPhase, pending: Pending) => void;
}

export type StopPhase = 'emptying the queues' | 'ending';

// In ms.
const LOOK_EVERY = 20;
const PROGRESS_EVERY = 100;
// The program counts from when it got the first signal, which may be later than when it was sent.
const SECOND_LATER = SECOND_AFTER + 100;
// How long the kernel may take to end a process after SIGKILL.
const DEATH_WAIT = 2_000;

/**
 * Stops a program without losing a client: shuts the gates of its listeners, waits until it has emptied its queues, and only then
 * sends its stop signal. A program is never left running behind a shut gate: at the deadline it is killed, or its gates are
 * opened again. Throws EPERM before it changes anything if the program must not be signalled.
 */
export async function stopProgram(program: StoppedProgram, options: StopOptions): Promise<StopReport> {
  const stop = new ProgramStop(program, options);
  const forget = rememberGates(stop.gates);
  try {
    stop.checkRight();
    await stop.emptyQueues();
    stop.signal();
    await stop.waitForEnd();
    if (stop.isRunning()) await stop.endAtDeadline();
    return stop.report();
  } catch (error) {
    // After any error of ours the program goes on as before. It is not left running behind a shut gate.
    if (stop.isRunning() && !stop.gates.reopen()) await stop.endAtDeadline();
    throw error;
  } finally {
    forget();
    stop.gates.release();
  }
}

class ProgramStop {
  readonly gates: ProgramGates;
  readonly #program: StoppedProgram;
  readonly #options: StopOptions;
  readonly #began: number = performance.now();
  readonly #connections = { atStart: 0, atSignal: 0, lastSeen: 0 };
  readonly #doubts = new Set<string>();
  #signalledAfter: number | undefined;
  #outcome: StopReport['outcome'] = 'complete';
  /** At the last look at the queues; undefined before the first. */
  #pending: Pending | undefined;
  #mayHandOn = false;

  constructor(program: StoppedProgram, options: StopOptions) {
    this.#program = program;
    this.#options = options;
    const { own, cookies, process } = program;
    const elapsed = (): number => this.#elapsed();
    this.gates = new ProgramGates({ pid: process.pid, own, cookies, mayKill: options.mayKill, elapsed });
    if (options.noGates !== undefined) this.gates.notes.add(options.noGates);
  }

  isRunning = (): boolean => this.#program.process.isRunning() || this.#left().length > 0;

  /** Processes of the program, such as its workers, that have not ended with it. */
  #left(): readonly number[] {
    return this.#program.callerEndsTheRest ? [] : this.gates.holdersLeft();
  }

  /** Comes before any gate is shut. */
  checkRight(): void {
    this.#program.process.signal(0);
  }

  /** Shuts the gates, and waits until the queues are empty. Repeats this for listeners that the program opens meanwhile. */
  async emptyQueues(): Promise<void> {
    const { deadline, now, noGates } = this.#options;
    // The PID of a program that has ended may be another's.
    if (noGates !== undefined || !this.isRunning()) return;
    let isNew = await this.gates.shutNew(now);
    this.#connections.atStart = readTraffic(this.gates.listeners).open;
    while (isNew && this.isRunning()) {
      await awaitEmptyQueues(this.gates.shut, {
        most: Math.max(0, deadline / 3 - this.#elapsed()),
        now,
        isRunning: this.isRunning,
        onLook: (pending) => {
          this.#pending = pending;
          this.#options.onProgress?.('emptying the queues', pending);
        },
      });
      isNew = await this.gates.shutNew(now);
    }
  }

  signal(): void {
    this.gates.noteSignal();
    this.#connections.atSignal = this.#connections.lastSeen = readTraffic(this.gates.listeners).open;
    const after = this.#elapsed();
    const { signal, now, noGates, knowsSecondSignal = false } = this.#options;
    if (this.isRunning() && this.#program.process.signal(signal)) this.#signalledAfter = after;
    // An inside stop is the caller's to judge.
    else if (noGates === undefined && this.#mayHaveHadClients()) this.#doubts.add(ENDED_BEFORE);
    // A second request that has only hastened the signal is used up.
    this.#mayHandOn = knowsSecondSignal && !now.aborted;
  }

  /** Whether anybody was in the queues, or waited for an answer, when it ended. */
  #mayHaveHadClients(): boolean {
    if (this.#pending === undefined) return this.gates.listeners.length > 0 || this.gates.hasNotLooked;
    const { queued, halfOpen, unanswered } = this.#pending;
    return queued + halfOpen + unanswered > 0;
  }

  #handOn(): void {
    const { signal, now } = this.#options;
    const isDue = now.aborted && this.#elapsed() >= (this.#signalledAfter ?? Infinity) + SECOND_LATER;
    if (!this.#mayHandOn || !isDue) return;
    this.#mayHandOn = false;
    this.#program.process.signal(signal);
  }

  /** Waits until the program has ended, or until the deadline. */
  async waitForEnd(): Promise<void> {
    let lookedAt = 0;
    while (this.isRunning() && this.#elapsed() < this.#options.deadline && this.#options.giveUp?.aborted !== true) {
      if (performance.now() - lookedAt >= PROGRESS_EVERY) {
        lookedAt = performance.now();
        const pending = { ...readPending(this.gates.shut), ...readTraffic(this.gates.listeners) };
        this.#connections.lastSeen = pending.open;
        this.#options.onProgress?.('ending', pending);
        this.gates.releaseEmpty();
      }
      this.#handOn();
      await sleep(Math.min(LOOK_EVERY, Math.max(1, this.#options.deadline - this.#elapsed())));
    }
  }

  /** Kills the program, or opens its gates again: it must not run behind a shut gate. */
  async endAtDeadline(): Promise<void> {
    if (!this.#options.mayKill) {
      this.#outcome = 'still running';
      this.gates.reopen();
      return;
    }
    this.#outcome = 'killed';
    this.#program.kill();
    for (const pid of this.#left()) sendSignal(pid, 'SIGKILL');
    const end = performance.now() + DEATH_WAIT;
    while (this.isRunning() && performance.now() < end) await sleep(LOOK_EVERY);
  }

  report(): StopReport {
    this.gates.noteEnd();
    const listeners = [...this.gates.reports];
    const isInDoubt = this.#doubts.size > 0 || listeners.some(({ left }) => left > 0);
    const { process, command } = this.#program;
    const { reason, signal } = this.#options;
    return {
      outcome: this.#outcome === 'complete' && isInDoubt ? 'forced' : this.#outcome,
      reason,
      duration: this.#elapsed(),
      program: { pid: process.pid, command, exitCode: undefined, signal: undefined },
      signalled: this.#signalledAfter === undefined ? undefined : { signal, after: this.#signalledAfter },
      listeners,
      connections: { ...this.#connections },
      doubts: [...this.#doubts],
      notes: [...this.gates.notes],
    };
  }

  #elapsed(): number {
    return performance.now() - this.#began;
  }
}

/** A doubt: the program ended before it got its signal from lastcall. */
export const ENDED_BEFORE =
  'it ended before lastcall sent it a signal, as if everybody were signalled at once: clients in its queues may be lost';

/** Sends a signal to a process, or to a group by a negative PID, if it is there and may be signalled. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended, or belongs to another user: a setuid program ends by itself or not at all.
  }
}

/** Why no gate may be shut: it could not be opened again, and the program must not be killed. Undefined if gates may be shut. */
export function whyNoGates(mayKill: boolean): string | undefined {
  if (mayKill || mayReopen()) return undefined;
  return 'no gate was shut: without CAP_NET_RAW it could not be opened again; --kill allows it';
}
