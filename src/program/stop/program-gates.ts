import { messageOf } from '../../errors.ts';
import { socketsOf } from '../../linux/process/processes.ts';
import type { CookieCounters } from '../../linux/tables/tcp-counters.ts';
import { findListeners, type HeldListener, type ProgramListeners } from '../find/find-listeners.ts';
import { awaitProgramCookies } from '../gate/syn-cookies.ts';
import { type CopiedListener, copyListener } from '../gate/copied-listener.ts';
import { type ProgramGate, shutProgramGate } from '../gate/program-gate.ts';
import { countHalfOpenAt } from '../gate/traffic.ts';
import type { ListenerReport } from '../report.ts';

/** The program whose gates are shut, and what is allowed. */
export interface GatesOptions {
  readonly pid: number;
  /** Listeners that this process has opened for the program: descriptors here by the socket's inode. */
  readonly own: ReadonlyMap<number, number>;
  /** Whether the program may be killed. Then a gate need not be opened again. */
  readonly mayKill: boolean;
  /** The counters of SYN cookies when the program started; undefined if it was already running. */
  readonly cookies: CookieCounters | undefined;
  /** Time since the stop began, in ms. */
  readonly elapsed: () => number;
}

/** The gates of a program's listeners, and the report of each listener. */
export class ProgramGates {
  readonly notes: Set<string> = new Set();
  readonly #options: GatesOptions;
  readonly #shut = new Map<number, ProgramGate>();
  readonly #reports = new Map<number, ListenerReport>();
  #listeners: readonly HeldListener[] | undefined;

  constructor(options: GatesOptions) {
    this.#options = options;
  }

  /** All listeners of the program, gated or not, at the last search. */
  get listeners(): readonly HeldListener[] {
    return this.#listeners ?? [];
  }

  /** Whether no search for its listeners has succeeded. */
  get hasNotLooked(): boolean {
    return this.#listeners === undefined;
  }

  get shut(): readonly ProgramGate[] {
    return [...this.#shut.values()];
  }

  get reports(): readonly ListenerReport[] {
    return [...this.#reports.values()];
  }

  /** Shuts the gates of listeners that are new since the last call. Returns whether there were any. */
  async shutNew(signal: AbortSignal): Promise<boolean> {
    const fresh = this.#find().filter(({ socket }) => !this.#reports.has(socket.inode));
    const listeners = fresh.map((held) => this.#copy(held)).filter((found) => found !== undefined);
    const cookies = await awaitProgramCookies(listeners, this.#options.cookies, signal);
    for (const listener of listeners) this.#shutOne(listener);
    cookies.release();
    return listeners.length > 0;
  }

  #find(): readonly HeldListener[] {
    const { pid, own } = this.#options;
    let found: ProgramListeners;
    try {
      found = findListeners(pid, new Set(own.keys()));
    } catch (error) {
      this.notes.add(`its listeners could not be found (${messageOf(error)}): it only gets the signal`);
      return [];
    }
    this.#listeners = found.listeners;
    if (found.unreadable.length > 0) {
      const list = found.unreadable.join(', ');
      this.notes.add(`process ${list} of the program cannot be inspected: ${WAYS_OUT}`);
    }
    return found.listeners;
  }

  #copy(held: HeldListener): CopiedListener | undefined {
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
      report.reason = 'a Unix listener cannot be opened again after it is shut: --kill allows it';
      return undefined;
    }
    try {
      return copyListener(held, this.#options.own);
    } catch (error) {
      report.reason = `it cannot be reached (${messageOf(error)}): ${WAYS_OUT}`;
      return undefined;
    }
  }

  #shutOne(listener: CopiedListener): void {
    const shut = shutProgramGate(listener);
    const shutAfter = this.#options.elapsed();
    const { inode } = listener.held.socket;
    const report = this.#reportOf(inode);
    report.gate = shut.gate;
    if (shut.reason !== undefined) report.reason = shut.reason;
    report.queued = listener.queued() ?? 0;
    report.halfOpen = countHalfOpenAt(listener.held);
    if (shut.gate === 'none') return listener.close();
    report.shutAfter = shutAfter;
    this.#shut.set(inode, shut);
  }

  /** Reports how many clients are queued when the program gets the signal. */
  noteSignal(): void {
    for (const [inode, { listener }] of this.#shut) this.#reportOf(inode).queuedAtSignal = listener.queued() ?? 0;
  }

  /** Reports how many clients were never accepted. */
  noteEnd(): void {
    for (const [inode, { listener }] of this.#shut) this.#reportOf(inode).left = listener.queued() ?? 0;
  }

  /** Opens every gate again, even if one of them fails. Returns whether all are open. */
  reopen(): boolean {
    let isOpen = true;
    for (const gate of this.#shut.values()) {
      try {
        gate.reopen();
      } catch (error) {
        isOpen = false;
        this.notes.add(
          `it is still running, and the gate of ${gate.listener.held.name} could not be opened again (${messageOf(error)})`,
        );
      }
    }
    if (isOpen && this.#shut.size > 0) this.notes.add('it is still running, and its gates are open again');
    return isOpen;
  }

  /** Processes of the program that still hold a listener whose gate is shut. */
  holdersLeft(): readonly number[] {
    const left = new Set<number>();
    for (const [inode, { listener }] of this.#shut) {
      for (const { pid } of listener.held.holders) if (holds(pid, inode)) left.add(pid);
    }
    return [...left];
  }

  /** Closes the copies of empty listeners. A copy keeps the queue open, and is needed for clients in it, or to reopen the gate. */
  releaseEmpty(): void {
    if (!this.#options.mayKill) return;
    for (const { listener } of this.#shut.values()) if (listener.queued() === 0) listener.close();
  }

  release(): void {
    for (const { listener } of this.#shut.values()) listener.close();
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

const WAYS_OUT = 'CAP_SYS_PTRACE allows it, and `lastcall run` with --listen or --inside does not need it';
