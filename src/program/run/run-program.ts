import { messageOf } from '../../errors.ts';
import { SECOND_AFTER } from '../../signals.ts';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { inodeOf } from '../../linux/descriptors.ts';
import { loadLibc } from '../../linux/libc.ts';
import type { HeldProcess } from '../../linux/process/pidfd.ts';
import { allProcesses, hasEnded } from '../../linux/process/processes.ts';
import { becomeSubreaper, reapOrphans } from '../../linux/process/subreaper.ts';
import type { CookieCounters } from '../../linux/tables/tcp-counters.ts';
import { forManyListeners } from '../../node/abort.ts';
import { findTree } from '../find/process-tree.ts';
import { sampleCookies } from '../gate/syn-cookies.ts';
import type { StopReport } from '../report.ts';
import { sendSignal } from '../stop/send-signal.ts';
import type { StopOptions } from '../stop/options.ts';
import { stopProgram } from '../stop/stop-program.ts';
import { startWatchdog, type Watchdog } from '../watchdog.ts';
import { doubtsAbout } from './doubts.ts';
import { holdChild } from './held-child.ts';
import type { RunOptions } from './options.ts';
import { ServiceChannel } from './service-channel.ts';
import { Resizes, runSignals } from './signals.ts';
import { startProgram } from './start-program.ts';
import { warmUp } from './warm-up.ts';

export interface RunResult {
  /** The program's own exit code, or 128 plus the number of the signal that ended it. */
  readonly exitCode: number;
  /** Undefined if no signal asked for a stop. */
  readonly report: StopReport | undefined;
}

/** When the warm-up runs, in ms: it must not slow down the start of the program. */
const WARM_UP_AFTER = 200;

// In ms.
const LOOK_EVERY = 20;
/** How long after the end of a program that a stop signal has ended, in ms. */
const OWN_SIGNAL_WAIT = 100;

/**
 * Runs a program as its parent, and does the work of PID 1: forwards signals, waits for orphans, and ends as the program does. At
 * SIGTERM, SIGINT or the program's stop signal it stops the program without losing a client. Throws as spawn does: ENOENT, EACCES.
 */
export async function runProgram(options: RunOptions): Promise<RunResult> {
  const running = new RunningProgram(options);
  try {
    await running.start();
    const stopped = running.stopWhenAsked();
    // It is looked at below.
    stopped.catch(() => {});
    await running.ended;
    await running.awaitOwnSignal();
    const report = running.wasAsked ? await stopped : undefined;
    await running.endLeftBehind();
    return { exitCode: running.exitCode, report: running.complete(report) };
  } finally {
    running.close();
  }
}

class RunningProgram {
  readonly #options: RunOptions;
  readonly #ending: AbortController = forManyListeners();
  /** Aborted by a second request to stop. */
  readonly #now: AbortController = new AbortController();
  /** Aborted by a third one. */
  readonly #giveUp: AbortController = new AbortController();
  readonly #resizes = new Resizes();
  readonly #channel: ServiceChannel | undefined;
  #child: ChildProcess | undefined;
  #watchdog: Watchdog | undefined;
  #asked: { readonly signal: NodeJS.Signals; readonly at: number } | undefined;
  #onAsked: () => void = () => {};
  #hasSubreaper = false;
  /** Cookies that were sent before the program started are not its own. */
  readonly #cookies: CookieCounters | undefined = sampleCookies();
  readonly #doubts: string[] = [];
  ended: Promise<unknown> = Promise.resolve();

  constructor(options: RunOptions) {
    this.#options = options;
    this.#channel = options.inside ? ServiceChannel.open() : undefined;
  }

  get wasAsked(): boolean {
    return this.#asked !== undefined;
  }

  async start(): Promise<void> {
    const { asking, forwarded } = runSignals(this.#options.signal);
    for (const name of asking) this.#listen(name, () => this.#ask(name));
    for (const name of forwarded) this.#listen(name, () => this.#forward(name));
    // Before the program starts, so that it also adopts an orphan of its first moment.
    this.#becomeSubreaper();
    const child = startProgram(this.#options, this.#channel);
    this.#child = child;
    this.ended = once(child, 'exit', { signal: this.#ending.signal }).catch(() => {});
    await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(error))]);
    child.on('error', () => {});
    if (child.pid !== undefined) this.#watchdog = startWatchdog({ signal: 'SIGKILL', target: -child.pid });
    this.#reap();
    const timer = setTimeout(() => {
      if (this.#asked === undefined && !this.#stopsItself && child.pid !== undefined) warmUp(child.pid);
    }, WARM_UP_AFTER);
    this.#ending.signal.addEventListener('abort', () => clearTimeout(timer));
  }

  #becomeSubreaper(): void {
    if (!loadLibc().available) return;
    try {
      becomeSubreaper();
      this.#hasSubreaper = true;
      this.#listen('SIGCHLD', () => this.#reap());
    } catch {
      // Orphans go to another process, as they would without lastcall.
    }
  }

  #reap(): void {
    if (this.#hasSubreaper) reapOrphans((pid) => pid === this.#child?.pid || pid === this.#watchdog?.pid);
  }

  #listen(name: NodeJS.Signals, listener: () => void): void {
    process.on(name, listener);
    this.#ending.signal.addEventListener('abort', () => process.off(name, listener));
  }

  #ask(signal: NodeJS.Signals): void {
    if (signal === 'SIGWINCH' && this.#resizes.wasResized()) return;
    const at = performance.now();
    if (this.#asked === undefined) this.#begin(signal, at);
    else if (at - this.#asked.at < SECOND_AFTER) return;
    else if (this.#now.signal.aborted) this.#giveUp.abort();
    else this.#now.abort();
  }

  #begin(signal: NodeJS.Signals, at: number): void {
    this.#asked = { signal, at };
    this.#channel?.forgetCloses();
    this.#watchdog?.beginStop(this.#options.lameDuck + this.#options.deadline);
    this.#options.onAsked?.();
    this.#onAsked();
  }

  /** A terminal that hangs up does not end a stop: most programs would die of the SIGHUP, with the clients that they serve. */
  #forward(name: NodeJS.Signals): void {
    if (name !== 'SIGHUP' || this.#asked === undefined) this.#child?.kill(name);
  }

  /**
   * Everybody may have been signalled at once: our own signal is delivered in a later turn of the loop than the program's end, and
   * another thread may still be at it (a handler of libuv runs in any thread).
   */
  async awaitOwnSignal(): Promise<void> {
    const diedOf = this.#child?.signalCode ?? null;
    const isStopSignal = diedOf !== null && runSignals(this.#options.signal).asking.includes(diedOf);
    await (isStopSignal && !this.wasAsked ? sleep(OWN_SIGNAL_WAIT) : new Promise(setImmediate));
  }

  /** Resolves when the stop has ended; never without a request to stop. */
  async stopWhenAsked(): Promise<StopReport | undefined> {
    if (this.#asked === undefined) await new Promise<void>((resolve) => (this.#onAsked = resolve));
    const child = this.#child;
    if (child?.pid === undefined) return undefined;
    const { lameDuck, onProgress } = this.#options;
    const reason = this.#asked?.signal ?? 'SIGTERM';
    if (lameDuck > 0) {
      onProgress?.('lame duck', { queued: 0, halfOpen: 0, open: 0 });
      const signal = AbortSignal.any([this.#now.signal, this.#ending.signal]);
      await Promise.race([this.ended, sleep(lameDuck, undefined, { signal }).catch(() => {})]);
    }
    return this.#stop(child, child.pid, reason);
  }

  async #stop(child: ChildProcess, pid: number, reason: string): Promise<StopReport | undefined> {
    const process = holdChild(child, pid);
    const began = performance.now();
    const { deadline } = this.#options;
    try {
      const stopsItself = this.#stopsItself && (this.#mayBeLameDuck() || 'except own');
      return await this.#stopHeld(process, { reason, deadline, stopsItself, noGates: this.#whyNoGates() });
    } catch (error) {
      // The program is to end all the same, as it would without lastcall.
      const noGates = `lastcall failed (${messageOf(error)}): the program only got the signal`;
      this.#doubts.push(noGates);
      const left = Math.max(0, deadline - (performance.now() - began));
      return await this.#stopHeld(process, { reason, deadline: left, stopsItself: true, noGates });
    } finally {
      process.close();
    }
  }

  /** Whether the program may go on serving new clients after the signal: its lame duck. */
  #mayBeLameDuck(): boolean {
    const { lameDuck, env } = this.#options;
    const says = [env.LASTCALL_LAME_DUCK, env.LASTCALL_LAME_DUCK_MIN, env.KUBERNETES_SERVICE_HOST];
    return lameDuck === 0 && says.some((value) => value !== undefined);
  }

  #stopHeld(
    process: HeldProcess,
    given: Pick<StopOptions, 'reason' | 'deadline' | 'stopsItself' | 'noGates'>,
  ): Promise<StopReport> {
    const { signal, queueWait, command, opened, onProgress } = this.#options;
    const own = new Map(opened.map((fd) => [inodeOf(fd), fd]));
    const leftBehind = (): readonly number[] => {
      this.#reap();
      return this.#descendants();
    };
    return stopProgram(
      { process, command, cookies: this.#cookies, own, leftBehind, kill: () => this.#kill() },
      {
        ...given,
        signal,
        queueWait,
        mayKill: true,
        now: this.#now.signal,
        giveUp: this.#giveUp.signal,
        knowsSecondSignal: this.#stopsItself,
        ...(onProgress === undefined ? {} : { onProgress }),
      },
    );
  }

  /** A program whose server is in a worker thread, or is none of Node's, has register and is not helped by it. */
  get #stopsItself(): boolean {
    return this.#options.inside && this.#channel?.drainsItself !== false;
  }

  #whyNoGates(): string | undefined {
    if (this.#stopsItself) return 'it stops itself, from inside (lastcall/register)';
    const loaded = loadLibc();
    return loaded.available ? undefined : `no gate was shut: ${loaded.reason}`;
  }

  /** Kills the program, its process group, and descendants that have left the group. */
  #kill(): void {
    const pid = this.#child?.pid;
    if (pid !== undefined) sendSignal(-pid, 'SIGKILL');
    for (const descendant of this.#descendants()) sendSignal(descendant, 'SIGKILL');
  }

  #descendants(): readonly number[] {
    if (!this.#hasSubreaper) return [];
    const processes = allProcesses();
    const watchdog = this.#watchdog?.pid;
    const notIts = watchdog === undefined ? new Set<number>() : findTree(watchdog, processes);
    // Node may not have waited yet for the program itself, which has ended.
    const isRunning = (pid: number): boolean => {
      const stat = processes.get(pid);
      return stat !== undefined && !hasEnded(stat);
    };
    const isOurs = (pid: number): boolean => pid === process.pid || notIts.has(pid);
    return [...findTree(process.pid, processes)].filter((pid) => !isOurs(pid) && isRunning(pid));
  }

  /**
   * Ends the processes that the program has left in the background: with its stop signal, then, at the deadline, with SIGKILL. A
   * stop has done so itself.
   */
  async endLeftBehind(): Promise<void> {
    this.#reap();
    const left = this.#descendants();
    if (left.length === 0) return;
    for (const pid of left) sendSignal(pid, this.#options.signal);
    const end = performance.now() + this.#options.deadline;
    while (this.#descendants().length > 0 && performance.now() < end && !this.#now.signal.aborted) {
      await sleep(LOOK_EVERY);
      this.#reap();
    }
    for (const pid of this.#descendants()) sendSignal(pid, 'SIGKILL');
  }

  get exitCode(): number {
    const { exitCode = null, signalCode = null } = this.#child ?? {};
    return exitCode ?? (signalCode === null ? 1 : 128 + constants.signals[signalCode]);
  }

  complete(report: StopReport | undefined): StopReport | undefined {
    if (report === undefined) return undefined;
    const { exitCode = null, signalCode = null } = this.#child ?? {};
    report.program = { ...report.program, exitCode: exitCode ?? undefined, signal: signalCode ?? undefined };
    if (this.#giveUp.signal.aborted) report.notes.push('a third signal asked to kill it');
    const { signal } = this.#options;
    const isLeftAlone = this.#whyNoGates() !== undefined;
    report.doubts.push(...this.#doubts, ...doubtsAbout(report, { signal, isLeftAlone, channel: this.#channel }));
    if (report.outcome === 'complete' && report.doubts.length > 0) report.outcome = 'forced';
    return report;
  }

  close(): void {
    this.#ending.abort();
    this.#watchdog?.dismiss();
    this.#channel?.close();
  }
}
