import { setTimeout as sleep } from 'node:timers/promises';
import type { HeldProcess } from '../linux/pidfd.ts';
import { findListeners, type HeldListener, type ProgramListeners } from './find-listeners.ts';
import { mayReopen, reachListener, type ShutFromOutside, shutFromOutside } from './outside-gate.ts';
import type { ListenerReport, StopReport } from './report.ts';
import { look, type Seen, settle } from './settle.ts';
import { countHalfOpenAt, lookAtTraffic } from './traffic.ts';

/** The program that is to stop. */
export interface Target {
  readonly process: HeldProcess;
  readonly command: string;
  /** Listeners that this process has opened for it: the descriptor here by the socket's inode. */
  readonly own: ReadonlyMap<number, number>;
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
  /** Why no gate is to be shut at all; undefined if they may. */
  readonly noGates?: string | undefined;
  /** About ten times a second. */
  readonly onProgress?: (phase: StopPhase, seen: Seen) => void;
}

export type StopPhase = 'emptying the queues' | 'ending';

const NOTHING: Seen = { queued: 0, halfOpen: 0, open: 0, owed: 0 };
const LOOK_EVERY = 20;
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
    stop.shutGates();
    await stop.settle();
    stop.signal();
    await stop.waitForEnd();
    if (stop.isRunning()) await stop.endAtDeadline();
    return stop.report();
  } catch (error) {
    // Whatever went wrong, it is not left running behind a shut gate.
    if (stop.hasShutGates() && stop.isRunning()) await stop.endAtDeadline();
    throw error;
  } finally {
    stop.release();
  }
}

class ProgramStop {
  readonly #target: Target;
  readonly #options: StopOptions;
  readonly #began: number = performance.now();
  readonly #gates = new Map<number, ShutFromOutside>();
  readonly #reports = new Map<number, ListenerReport>();
  readonly #notes = new Set<string>();
  readonly #connections = { atStart: 0, atSignal: 0, lastSeen: 0 };
  #listeners: readonly HeldListener[] = [];
  #signalledAfter: number | undefined;
  #outcome: StopReport['outcome'] = 'complete';

  constructor(target: Target, options: StopOptions) {
    this.#target = target;
    this.#options = options;
    if (options.noGates !== undefined) this.#notes.add(options.noGates);
  }

  isRunning = (): boolean => this.#target.process.isRunning();

  hasShutGates(): boolean {
    return this.#gates.size > 0;
  }

  /** Before any gate is shut: it must be possible to go through with it. */
  checkRight(): void {
    this.#target.process.signal(0);
  }

  /** Shuts the gates that are not shut yet: at the beginning, and of what was opened meanwhile. */
  shutGates(): void {
    if (this.#options.noGates !== undefined) return;
    const found = this.#find();
    if (found === undefined) return;
    if (found.unreadable.length > 0) {
      this.#notes.add(
        `process ${found.unreadable.join(', ')} of the program cannot be looked into: its listeners are not gated`,
      );
    }
    for (const held of found.listeners) if (!this.#reports.has(held.socket.inode)) this.#shut(held);
    this.#connections.atStart ||= lookAtTraffic(this.#listeners).open;
  }

  #find(): ProgramListeners | undefined {
    try {
      const found = findListeners(this.#target.process.pid, new Set(this.#target.own.keys()));
      this.#listeners = found.listeners;
      return found;
    } catch (error) {
      this.#notes.add(`its listeners could not be found (${messageOf(error)}): it is sent the signal only`);
      return undefined;
    }
  }

  #shut(held: HeldListener): void {
    const { inode, address } = held.socket;
    const report: ListenerReport = {
      address: held.name,
      gate: 'none',
      queued: held.socket.queued,
      halfOpen: 0,
      queuedAtSignal: 0,
      left: 0,
      shutAfter: undefined,
    };
    this.#reports.set(inode, report);
    if (held.sharedBecause !== undefined) {
      Object.assign(report, { gate: 'shared', reason: held.sharedBecause });
      return;
    }
    if (address.family === 'Unix' && !this.#options.mayKill) {
      report.reason = 'a Unix listener that was shut cannot be opened again: --kill allows it';
      return;
    }
    try {
      const shut = shutFromOutside(reachListener(held, this.#target.own));
      const { gate, reason, reached } = shut;
      Object.assign(report, { gate, ...(reason === undefined ? {} : { reason }) });
      Object.assign(report, { queued: reached.queued() ?? 0, halfOpen: countHalfOpenAt(held) });
      if (gate === 'none') return reached.close();
      report.shutAfter = this.#elapsed();
      this.#gates.set(inode, shut);
    } catch (error) {
      report.reason = `it cannot be reached (${messageOf(error)}): CAP_SYS_PTRACE, or lastcall run --listen or --inside, helps`;
    }
  }

  /** The program's queues, and the answers that it owes; and again for what it has opened meanwhile. */
  async settle(): Promise<void> {
    const { deadline, now } = this.#options;
    for (let known = -1; known !== this.#reports.size && this.isRunning(); this.shutGates()) {
      known = this.#reports.size;
      if (this.#gates.size === 0) continue;
      await settle([...this.#gates.values()], {
        most: Math.max(0, deadline / 3 - this.#elapsed()),
        now,
        isRunning: this.isRunning,
        onLook: (seen) => this.#note('emptying the queues', seen),
      });
    }
  }

  signal(): void {
    for (const [inode, { reached }] of this.#gates) this.#reportOf(inode).queuedAtSignal = reached.queued() ?? 0;
    this.#connections.atSignal = this.#connections.lastSeen = lookAtTraffic(this.#listeners).open;
    const after = this.#elapsed();
    if (this.isRunning() && this.#target.process.signal(this.#options.signal)) this.#signalledAfter = after;
  }

  /** Until the program has ended, or the deadline. */
  async waitForEnd(): Promise<void> {
    let lookedAt = 0;
    while (this.isRunning() && this.#elapsed() < this.#options.deadline) {
      if (performance.now() - lookedAt >= 5 * LOOK_EVERY) {
        lookedAt = performance.now();
        const seen =
          this.#gates.size === 0 ? { ...NOTHING, ...lookAtTraffic(this.#listeners) } : look(this.#openGates());
        this.#connections.lastSeen = seen.open;
        this.#note('ending', seen);
        this.#releaseEmpty();
      }
      await sleep(Math.min(LOOK_EVERY, Math.max(1, this.#options.deadline - this.#elapsed())));
    }
  }

  #openGates(): readonly ShutFromOutside[] {
    return [...this.#gates.values()];
  }

  /** The duplicate keeps the queue alive; once nobody is in it, and the program has been told, nothing needs it but a reopening. */
  #releaseEmpty(): void {
    if (!this.#options.mayKill) return;
    for (const { reached } of this.#gates.values()) if (reached.queued() === 0) reached.close();
  }

  /** It lives on: never behind a shut gate. */
  async endAtDeadline(): Promise<void> {
    if (this.#options.mayKill) {
      this.#outcome = 'killed';
      this.#target.kill();
      const end = performance.now() + DEATH_WAIT;
      while (this.isRunning() && performance.now() < end) await sleep(LOOK_EVERY);
      return;
    }
    this.#outcome = 'still running';
    for (const gate of this.#gates.values()) gate.reopen();
    if (this.#gates.size > 0) this.#notes.add('it lives on, and its gates are open again');
  }

  report(): StopReport {
    for (const [inode, { reached }] of this.#gates) this.#reportOf(inode).left = reached.queued() ?? 0;
    const { process, command } = this.#target;
    return {
      outcome: this.#outcome,
      reason: this.#options.reason,
      duration: this.#elapsed(),
      program: { pid: process.pid, command, exitCode: undefined, signal: undefined },
      signalled:
        this.#signalledAfter === undefined ? undefined : { signal: this.#options.signal, after: this.#signalledAfter },
      listeners: [...this.#reports.values()],
      connections: { ...this.#connections },
      notes: [...this.#notes],
    };
  }

  release(): void {
    for (const { reached } of this.#gates.values()) reached.close();
  }

  #note(phase: StopPhase, seen: Seen): void {
    this.#options.onProgress?.(phase, seen);
  }

  #reportOf(inode: number): ListenerReport {
    const report = this.#reports.get(inode);
    if (report === undefined) throw new Error(`no report of the listener with inode ${inode}`);
    return report;
  }

  #elapsed(): number {
    return performance.now() - this.#began;
  }
}

/** Why no gate may be shut where the program must not be killed: there would be no way back. Undefined where there is one. */
export function whyNoGates(mayKill: boolean): string | undefined {
  if (mayKill || mayReopen()) return undefined;
  return 'no gate was shut: without CAP_NET_RAW it could not be opened again if the program lived on; --kill allows it';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
