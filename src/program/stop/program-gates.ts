import { counted } from '../../counted.ts';
import { messageOf } from '../../errors.ts';
import { holdsSocket } from '../../linux/process/processes.ts';
import type { CookieCounters } from '../../linux/tables/tcp-counters.ts';
import { type HeldListener, printableName } from '../find/find-listeners.ts';
import { type Namespace, OWN, queuesIn } from '../find/namespace.ts';
import { awaitProgramCookies } from '../gate/syn-cookies.ts';
import { type CopiedListener, copyListener } from '../gate/copied-listener.ts';
import { type ProgramGate, shutProgramGate } from '../gate/program-gate.ts';
import { isInner } from '../gate/inner-listeners.ts';
import { isLeftToOthers } from '../gate/left-to-others.ts';
import { countHalfOpenAt } from '../gate/connections.ts';
import { readTraffic } from '../gate/traffic.ts';
import { firstReport, type ListenerReport } from '../report.ts';
import type { Pending } from './await-empty-queues.ts';
import { searchListeners, WAYS_OUT } from './search-listeners.ts';

/** The program whose gates are shut, and what is allowed. */
export interface GatesOptions {
  readonly pid: number;
  /** Listeners that this process has opened for the program: descriptors here by the socket's inode. */
  readonly own: ReadonlyMap<number, number>;
  /** Whether the program may be killed. Then a gate need not be opened again. */
  readonly mayKill: boolean;
  /** Why no gate may be shut; undefined if they may. */
  readonly noGates: string | undefined;
  /** The counters of SYN cookies when the program started; undefined if it was already running. */
  readonly cookies: CookieCounters | undefined;
  /** Whether descendants that may be the program's successor are stopped, too. */
  readonly withSuccessors: boolean;
  /** The deadline of the stop, from its start, in ms. */
  readonly deadline: number;
  /** Time since the stop began, in ms. */
  readonly elapsed: () => number;
}

/** The gates of a program's listeners, and the report of each listener. */
export class ProgramGates {
  readonly notes: Set<string> = new Set();
  /** What may have been lost at the gates, a sentence each. */
  readonly doubts: Set<string> = new Set();
  readonly #options: GatesOptions;
  readonly #shut = new Map<number, ProgramGate>();
  readonly #reports = new Map<number, ListenerReport>();
  /** Listeners whose gates shut after the others. */
  readonly #inner = new Set<HeldListener>();
  readonly #listeners = new Map<number, HeldListener>();
  /** How many clients were in the queue of a listener without a gate at the last look. */
  readonly #queued = new Map<number, number>();
  /** Listeners that others serve, as was seen when the program had ended. */
  readonly #servedByOthers = new Set<number>();
  #hasLooked = false;

  constructor(options: GatesOptions) {
    this.#options = options;
    if (options.noGates !== undefined) this.notes.add(options.noGates);
  }

  /** All listeners of the program, gated or not, that were found. */
  get listeners(): readonly HeldListener[] {
    return [...this.#listeners.values()];
  }

  /**
   * The processes that hold listeners of the program alone: the program itself, and its workers. At a shared listener the clients
   * may be another process's.
   */
  get workers(): ReadonlySet<number> {
    const own = this.listeners.filter(({ sharedBecause }) => sharedBecause === undefined);
    return new Set(own.flatMap(({ holders }) => holders.map(({ pid }) => pid)));
  }

  /** Whether no search for its listeners has succeeded. */
  get hasNotLooked(): boolean {
    return !this.#hasLooked;
  }

  get shut(): readonly ProgramGate[] {
    return [...this.#shut.values()];
  }

  get reports(): readonly ListenerReport[] {
    return [...this.#reports.values()];
  }

  /**
   * Shuts the gates of listeners that are new since the last call, but not of inner ones: other processes of the program may need
   * them. Returns whether there were any.
   */
  async shutNew(signal: AbortSignal): Promise<boolean> {
    const fresh = this.find();
    for (const held of fresh) if (isInner(held, this.listeners)) this.#inner.add(held);
    await this.#shutAll(
      fresh.filter((held) => !this.#inner.has(held)),
      signal,
    );
    return fresh.length > 0;
  }

  /** Shuts the gates of the inner listeners. Returns whether there were any. */
  async shutInner(signal: AbortSignal): Promise<boolean> {
    const inner = [...this.#inner];
    this.#inner.clear();
    await this.#shutAll(inner, signal);
    return inner.length > 0;
  }

  async #shutAll(fresh: readonly HeldListener[], signal: AbortSignal): Promise<void> {
    const listeners = fresh.map((held) => this.#copy(held)).filter((found) => found !== undefined);
    const cookies = await awaitProgramCookies(listeners, this.#options.cookies, signal);
    for (const listener of listeners) this.#shutOne(listener);
    for (const doubt of cookies.release()) this.doubts.add(doubt);
  }

  /** Shuts the gates of the listeners that this process has opened for the program, which takes no search. */
  async shutOwn(signal: AbortSignal): Promise<void> {
    const fresh = this.findOwn();
    await this.#shutAll(fresh, signal);
  }

  /** Finds the listeners that this process has opened for the program. */
  findOwn(): readonly HeldListener[] {
    const { own } = this.#options;
    const sockets = own.size === 0 ? [] : OWN.listeners().filter(({ inode }) => own.has(inode));
    return this.#add(
      sockets.map((socket) => ({
        socket,
        name: printableName(socket.address),
        namespace: OWN,
        holders: [],
        sharedBecause: undefined,
        isPassed: false,
      })),
    );
  }

  /** Finds the listeners that are new since the last call. */
  find(): readonly HeldListener[] {
    return this.#add(this.#search());
  }

  /** Returns those that are new. */
  #add(found: readonly HeldListener[]): readonly HeldListener[] {
    const { own, noGates } = this.#options;
    const fresh = found.filter(({ socket }) => !this.#listeners.has(socket.inode));
    for (const held of fresh) {
      this.#listeners.set(held.socket.inode, held);
      this.#reports.set(held.socket.inode, firstReport(held, own.has(held.socket.inode) ? undefined : noGates));
    }
    return fresh;
  }

  #search(): readonly HeldListener[] {
    const found = searchListeners(this.#options, new Set(this.#reports.keys()));
    for (const note of found.notes) this.notes.add(note);
    this.#hasLooked ||= found.hasLooked;
    return found.listeners;
  }

  #copy(held: HeldListener): CopiedListener | undefined {
    const report = this.#reportOf(held.socket.inode);
    if (this.#options.noGates !== undefined && !this.#options.own.has(held.socket.inode)) return undefined;
    if (held.sharedBecause !== undefined) return undefined;
    let copied: CopiedListener;
    try {
      copied = copyListener(held, this.#options.own);
    } catch (error) {
      report.reason = `it cannot be reached (${messageOf(error)}): ${WAYS_OUT}`;
      return undefined;
    }
    report.address = copied.held.name;
    if (copied.held.socket.address.family !== 'Unix' || this.#options.mayKill) return copied;
    report.reason = 'a Unix listener cannot be opened again after it is shut: --kill allows it';
    copied.close();
    return undefined;
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

  /** Counts the clients that the program has still to serve. */
  look(): Pending {
    const tables = new Map<Namespace, ReadonlyMap<number, number>>();
    let queued = 0;
    for (const { socket, namespace } of this.listeners) {
      const gated = this.#shut.get(socket.inode)?.listener.queued();
      const table = gated === undefined ? (tables.get(namespace) ?? queuesIn(namespace)) : undefined;
      if (table !== undefined) tables.set(namespace, table);
      const inQueue = gated ?? table?.get(socket.inode);
      // One that has gone was closed. What was in its queue before is remembered.
      if (inQueue !== undefined) this.#queued.set(socket.inode, inQueue);
      queued += inQueue ?? 0;
    }
    const halfOpen = this.shut.reduce((sum, { listener }) => sum + countHalfOpenAt(listener.held), 0);
    const isOpen = this.#shut.size + this.#inner.size < this.#listeners.size;
    return { queued, halfOpen, isOpen, ...readTraffic(this.listeners) };
  }

  /**
   * Whether somebody serves each queue that is left to others, or nobody is left in it. One that accepts now and then may not be seen
   * at once. Who comes later is theirs.
   */
  isLeftQueueServed(): boolean {
    this.look();
    const shared = [...this.#listeners].filter(([, { sharedBecause }]) => sharedBecause !== undefined);
    for (const [inode, held] of shared)
      if ((this.#queued.get(inode) ?? 0) === 0 || isLeftToOthers(held)) this.#servedByOthers.add(inode);
    return shared.every(([inode]) => this.#servedByOthers.has(inode));
  }

  /** Reports how many clients are queued when the program gets the signal, as the last look has seen. */
  noteSignal(): void {
    for (const [inode, report] of this.#reports) report.queuedAtSignal = this.#queued.get(inode) ?? 0;
  }

  /**
   * Reports how many clients were never accepted. Returns the doubts about those at listeners without a gate, a sentence each. What
   * the last look saw counts where `mayRemember` says so: what a program that stops itself does later is in its own report.
   */
  noteEnd(mayRemember: (held: HeldListener) => boolean): readonly string[] {
    const before = new Map(this.#queued);
    this.#queued.clear();
    this.look();
    const doubts: string[] = [];
    for (const [inode, held] of this.#listeners) {
      const now = this.#queued.get(inode);
      const left = now ?? (mayRemember(held) ? before.get(inode) : undefined) ?? 0;
      this.#reportOf(inode).left = left;
      if (left === 0 || this.#shut.has(inode)) continue;
      if (now === undefined)
        doubts.push(`${counted(left, 'client')} waited in the queue of ${held.name} just before it was closed`);
      else if (!this.#servedByOthers.has(inode) && !isLeftToOthers(held))
        doubts.push(
          `${counted(left, 'client')} stayed in the queue of ${held.name}, which no process is known to serve`,
        );
    }
    return doubts;
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
      for (const { pid } of listener.held.holders) if (holdsSocket(pid, inode)) left.add(pid);
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
