import { socketsOf } from '../../linux/process/processes.ts';
import type { CookieCounters } from '../../linux/tables/tcp-counters.ts';
import { findListeners, type HeldListener, type ProgramListeners } from '../find/find-listeners.ts';
import { awaitCookiesOutside } from '../gate/outside-cookies.ts';
import { reachListener, type ReachedListener, type ShutFromOutside, shutFromOutside } from '../gate/outside-gate.ts';
import type { ListenerReport } from '../report.ts';
import { countHalfOpenAt } from '../gate/traffic.ts';

/** Whose gates they are, and what may be done with them. */
export interface GatesOptions {
  readonly pid: number;
  /** Listeners that this process has opened for the program: the descriptor here by the socket's inode. */
  readonly own: ReadonlyMap<number, number>;
  /** Whether the program may be killed: then a gate needs no way back. */
  readonly mayKill: boolean;
  /** SYN cookies counted when the program began; undefined if it ran already. */
  readonly cookies: CookieCounters | undefined;
  /** Milliseconds since the stop began. */
  readonly elapsed: () => number;
}

/** The gates of a program's listeners, and what is said of each listener in the report. */
export class ProgramGates {
  readonly notes: Set<string> = new Set();
  readonly #options: GatesOptions;
  readonly #shut = new Map<number, ShutFromOutside>();
  readonly #reports = new Map<number, ListenerReport>();
  #listeners: readonly HeldListener[] = [];

  constructor(options: GatesOptions) {
    this.#options = options;
  }

  /** What the program listens with, gated or not, when it was last looked for. */
  get listeners(): readonly HeldListener[] {
    return this.#listeners;
  }

  get shut(): readonly ShutFromOutside[] {
    return [...this.#shut.values()];
  }

  get reports(): readonly ListenerReport[] {
    return [...this.#reports.values()];
  }

  /** Shuts those that are not shut yet: at the beginning, and of what was opened meanwhile. True if there was any. */
  async shutNew(signal: AbortSignal): Promise<boolean> {
    const fresh = this.#find().filter(({ socket }) => !this.#reports.has(socket.inode));
    const reached = fresh.map((held) => this.#reach(held)).filter((found) => found !== undefined);
    const cookies = await awaitCookiesOutside(reached, this.#options.cookies, signal);
    for (const listener of reached) this.#shutOne(listener);
    cookies.release();
    return reached.length > 0;
  }

  #find(): readonly HeldListener[] {
    const { pid, own } = this.#options;
    let found: ProgramListeners;
    try {
      found = findListeners(pid, new Set(own.keys()));
    } catch (error) {
      this.notes.add(`its listeners could not be found (${messageOf(error)}): it is sent the signal only`);
      return [];
    }
    this.#listeners = found.listeners;
    if (found.unreadable.length > 0) {
      const list = found.unreadable.join(', ');
      this.notes.add(`process ${list} of the program cannot be looked into: ${WAYS_OUT}`);
    }
    return found.listeners;
  }

  #reach(held: HeldListener): ReachedListener | undefined {
    const report: ListenerReport = {
      address: held.name,
      gate: 'none',
      queued: held.socket.queued,
      halfOpen: 0,
      queuedAtSignal: 0,
      left: 0,
      shutAfter: undefined,
    };
    this.#reports.set(held.socket.inode, report);
    if (held.sharedBecause !== undefined) {
      report.gate = 'shared';
      report.reason = held.sharedBecause;
      return undefined;
    }
    if (held.socket.address.family === 'Unix' && !this.#options.mayKill) {
      report.reason = 'a Unix listener that was shut cannot be opened again: --kill allows it';
      return undefined;
    }
    try {
      return reachListener(held, this.#options.own);
    } catch (error) {
      report.reason = `it cannot be reached (${messageOf(error)}): ${WAYS_OUT}`;
      return undefined;
    }
  }

  #shutOne(reached: ReachedListener): void {
    const shut = shutFromOutside(reached);
    const shutAfter = this.#options.elapsed();
    const { inode } = reached.held.socket;
    const report = this.#reportOf(inode);
    report.gate = shut.gate;
    if (shut.reason !== undefined) report.reason = shut.reason;
    report.queued = reached.queued() ?? 0;
    report.halfOpen = countHalfOpenAt(reached.held);
    if (shut.gate === 'none') return reached.close();
    report.shutAfter = shutAfter;
    this.#shut.set(inode, shut);
  }

  /** Who is still to be accepted when the program is told to stop. */
  noteSignal(): void {
    for (const [inode, { reached }] of this.#shut) this.#reportOf(inode).queuedAtSignal = reached.queued() ?? 0;
  }

  /** Who was never accepted. */
  noteEnd(): void {
    for (const [inode, { reached }] of this.#shut) this.#reportOf(inode).left = reached.queued() ?? 0;
  }

  /** Lets new connections in again: each, whatever comes of the others. */
  reopen(): void {
    let isOpen = this.#shut.size > 0;
    for (const gate of this.#shut.values()) {
      try {
        gate.reopen();
      } catch (error) {
        isOpen = false;
        this.notes.add(
          `it lives on, and the gate of ${gate.reached.held.name} could not be opened again (${messageOf(error)})`,
        );
      }
    }
    if (isOpen) this.notes.add('it lives on, and its gates are open again');
  }

  /** Processes that were the program's when it was last looked for, and have a listener still whose gate was shut. */
  holdersLeft(): readonly number[] {
    const left = new Set<number>();
    for (const [inode, { reached }] of this.#shut) {
      for (const { pid } of reached.held.holders) if (holds(pid, inode)) left.add(pid);
    }
    return [...left];
  }

  /** A duplicate keeps the queue alive. With nobody in it, nothing needs it but a reopening. */
  releaseEmpty(): void {
    if (!this.#options.mayKill) return;
    for (const { reached } of this.#shut.values()) if (reached.queued() === 0) reached.close();
  }

  release(): void {
    for (const { reached } of this.#shut.values()) reached.close();
  }

  #reportOf(inode: number): ListenerReport {
    const report = this.#reports.get(inode);
    if (report === undefined) throw new Error(`no report of the listener with inode ${inode}`);
    return report;
  }
}

function holds(pid: number, inode: number): boolean {
  try {
    return socketsOf(pid).has(inode);
  } catch {
    // It has ended.
    return false;
  }
}

const WAYS_OUT = 'CAP_SYS_PTRACE would allow it, and `lastcall run` with --listen or --inside does without';

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
