import { setTimeout as sleep } from 'node:timers/promises';
import type { HeldProcess } from '../../linux/process/pidfd.ts';
import type { CookieCounters } from '../../linux/tables/tcp-counters.ts';
import { mayReopen } from '../gate/outside-gate.ts';
import { ProgramGates } from './program-gates.ts';
import type { StopReport } from '../report.ts';
import { look, type Seen, settle } from './settle.ts';
import { lookAtTraffic } from '../gate/traffic.ts';

/** The program that is to stop. */
export interface Target {
  readonly process: HeldProcess;
  readonly command: string;
  /** Listeners that this process has opened for it: the descriptor here by the socket's inode. */
  readonly own: ReadonlyMap<number, number>;
  /** SYN cookies counted when it began; undefined if it ran already. */
  readonly cookies?: CookieCounters | undefined;
  /**
   * Whether somebody else sees to what it leaves running, as `lastcall run` does. If not, it has ended when nobody is left who holds
   * a listener whose gate was shut.
   */
  readonly leavesNobody: boolean;
  /** Kills it, and what belongs to it. */
  kill(): void;
}

/** How a program is stopped. Times are in milliseconds. */
export interface StopOptions {
  readonly reason: string;
  readonly signal: NodeJS.Signals;
  readonly deadline: number;
  /** Whether it may be killed if it lives on at the deadline. */
  readonly mayKill: boolean;
  /** Aborted when it must be now: the signal is sent without waiting any longer. */
  readonly now: AbortSignal;
  /** Aborted when the deadline is now, too. */
  readonly enough?: AbortSignal;
  /** Why no gate is to be shut at all; undefined if they may. */
  readonly noGates?: string | undefined;
  /** About ten times a second. */
  readonly onProgress?: (phase: StopPhase, seen: Seen) => void;
}

export type StopPhase = 'emptying the queues' | 'ending';

const LOOK_EVERY = 20;
const TELL_EVERY = 100;
// After SIGKILL, until the kernel has taken it down.
const DEATH_WAIT = 2_000;

/**
 * Stops somebody else's program without losing a client: shuts the gates of its listeners from outside, waits until it has emptied
 * its queues, and only then sends the signal that it knows. It is never left running behind a shut gate: if it lives on at the
 * deadline it is killed, or its gates are opened again. Throws EPERM, before anything was done, where it may not be signalled.
 */
export async function stopProgram(target: Target, options: StopOptions): Promise<StopReport> {
  const stop = new ProgramStop(target, options);
  try {
    stop.checkRight();
    await stop.emptyQueues();
    stop.signal();
    await stop.waitForEnd();
    if (stop.isRunning()) await stop.endAtDeadline();
    return stop.report();
  } catch (error) {
    // Whatever went wrong, it is not left running behind a shut gate.
    if (stop.gates.shut.length > 0 && stop.isRunning()) await stop.endAtDeadline();
    throw error;
  } finally {
    stop.gates.release();
  }
}

class ProgramStop {
  readonly gates: ProgramGates;
  readonly #target: Target;
  readonly #options: StopOptions;
  readonly #began: number = performance.now();
  readonly #connections = { atStart: 0, atSignal: 0, lastSeen: 0 };
  #signalledAfter: number | undefined;
  #outcome: StopReport['outcome'] = 'complete';

  constructor(target: Target, options: StopOptions) {
    this.#target = target;
    this.#options = options;
    const { own, cookies, process } = target;
    const elapsed = (): number => this.#elapsed();
    this.gates = new ProgramGates({ pid: process.pid, own, cookies, mayKill: options.mayKill, elapsed });
    if (options.noGates !== undefined) this.gates.notes.add(options.noGates);
  }

  isRunning = (): boolean => this.#target.process.isRunning() || this.#left().length > 0;

  /** Who was never told to stop by us, but by the program, and has not ended with it. */
  #left(): readonly number[] {
    return this.#target.leavesNobody ? [] : this.gates.holdersLeft();
  }

  /** Before any gate is shut: it must be possible to go through with it. */
  checkRight(): void {
    this.#target.process.signal(0);
  }

  /** Shuts the gates, and waits until the program owes nobody anything; and again for what it has opened meanwhile. */
  async emptyQueues(): Promise<void> {
    const { deadline, now, noGates } = this.#options;
    if (noGates !== undefined) return;
    let isNew = await this.gates.shutNew(now);
    this.#connections.atStart = lookAtTraffic(this.gates.listeners).open;
    while (isNew && this.isRunning()) {
      await settle(this.gates.shut, {
        most: Math.max(0, deadline / 3 - this.#elapsed()),
        now,
        isRunning: this.isRunning,
        onLook: (seen) => this.#options.onProgress?.('emptying the queues', seen),
      });
      isNew = await this.gates.shutNew(now);
    }
  }

  signal(): void {
    this.gates.noteSignal();
    this.#connections.atSignal = this.#connections.lastSeen = lookAtTraffic(this.gates.listeners).open;
    const after = this.#elapsed();
    if (this.isRunning() && this.#target.process.signal(this.#options.signal)) this.#signalledAfter = after;
  }

  /** Until the program has ended, or the deadline. */
  async waitForEnd(): Promise<void> {
    let lookedAt = 0;
    while (this.isRunning() && this.#elapsed() < this.#options.deadline && this.#options.enough?.aborted !== true) {
      if (performance.now() - lookedAt >= TELL_EVERY) {
        lookedAt = performance.now();
        const seen = { ...look(this.gates.shut), ...lookAtTraffic(this.gates.listeners) };
        this.#connections.lastSeen = seen.open;
        this.#options.onProgress?.('ending', seen);
        this.gates.releaseEmpty();
      }
      await sleep(Math.min(LOOK_EVERY, Math.max(1, this.#options.deadline - this.#elapsed())));
    }
  }

  /** It lives on: never behind a shut gate. */
  async endAtDeadline(): Promise<void> {
    if (!this.#options.mayKill) {
      this.#outcome = 'still running';
      return this.gates.reopen();
    }
    this.#outcome = 'killed';
    this.#target.kill();
    for (const pid of this.#left()) killOne(pid);
    const end = performance.now() + DEATH_WAIT;
    while (this.isRunning() && performance.now() < end) await sleep(LOOK_EVERY);
  }

  report(): StopReport {
    this.gates.noteEnd();
    const { process, command } = this.#target;
    const { reason, signal } = this.#options;
    return {
      outcome: this.#outcome,
      reason,
      duration: this.#elapsed(),
      program: { pid: process.pid, command, exitCode: undefined, signal: undefined },
      signalled: this.#signalledAfter === undefined ? undefined : { signal, after: this.#signalledAfter },
      listeners: [...this.gates.reports],
      connections: { ...this.#connections },
      notes: [...this.gates.notes],
    };
  }

  #elapsed(): number {
    return performance.now() - this.#began;
  }
}

function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}

/** Why no gate may be shut where the program must not be killed: there would be no way back. Undefined where there is one. */
export function whyNoGates(mayKill: boolean): string | undefined {
  if (mayKill || mayReopen()) return undefined;
  return 'no gate was shut: without CAP_NET_RAW it could not be opened again if the program lived on; --kill allows it';
}
