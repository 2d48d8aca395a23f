import { SECOND_AFTER } from '../../signals.ts';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { inodeOf } from '../../linux/descriptors.ts';
import { loadLibc } from '../../linux/libc.ts';
import { type HeldProcess, holdProcess } from '../../linux/process/pidfd.ts';
import { becomeSubreaper, reapOrphans } from '../../linux/process/subreaper.ts';
import type { CookieCounters } from '../../linux/tables/tcp-counters.ts';
import { forManyListeners } from '../../node/abort.ts';
import { findTree } from '../find/process-tree.ts';
import { sampleCookies } from '../gate/syn-cookies.ts';
import type { StopReport } from '../report.ts';
import type { StopPhase, StopProgress } from '../stop/progress.ts';
import { sendSignal, stopProgram } from '../stop/stop-program.ts';
import { startWatchdog, type Watchdog } from '../watchdog.ts';
import { type ProgramStart, startProgram } from './start-program.ts';
import { warmUp } from './warm-up.ts';

/** How to run and stop a program. Times are in ms. */
export interface RunOptions extends ProgramStart {
  /** The signal that stops the program. */
  readonly signal: NodeJS.Signals;
  readonly deadline: number;
  /** The longest wait for the queues, in ms. Default: a third of the deadline. */
  readonly queueWait?: number | undefined;
  readonly lameDuck: number;
  readonly onProgress?: (phase: 'lame duck' | StopPhase, progress: StopProgress) => void;
}

export interface RunResult {
  /** The program's own exit code, or 128 plus the number of the signal that ended it. */
  readonly exitCode: number;
  /** Undefined if no signal asked for a stop. */
  readonly report: StopReport | undefined;
}

const STOPPING = ['SIGTERM', 'SIGINT'] as const;
/** Forwarded to the program at once. A program without a handler ends by them, as it would without lastcall. */
const FORWARDED = ['SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGALRM', 'SIGPWR'] as const;

/** When the warm-up runs, in ms: it must not slow down the start of the program. */
const WARM_UP_AFTER = 200;

// In ms.
const LOOK_EVERY = 20;

/**
 * Runs a program as its parent, and does the work of PID 1: forwards signals, waits for orphans, and ends as the program does. At
 * SIGTERM or SIGINT it stops the program without losing a client. Throws as spawn does: ENOENT, EACCES.
 */
export async function runProgram(options: RunOptions): Promise<RunResult> {
  const running = new RunningProgram(options);
  try {
    await running.start();
    const stopped = running.stopWhenAsked();
    await running.ended;
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
  #child: ChildProcess | undefined;
  #watchdog: Watchdog | undefined;
  #asked: { readonly signal: NodeJS.Signals; readonly at: number } | undefined;
  #onAsked: () => void = () => {};
  #hasSubreaper = false;
  /** Cookies that were sent before the program started are not its own. */
  readonly #cookies: CookieCounters | undefined = sampleCookies();
  ended: Promise<unknown> = Promise.resolve();

  constructor(options: RunOptions) {
    this.#options = options;
  }

  get wasAsked(): boolean {
    return this.#asked !== undefined;
  }

  async start(): Promise<void> {
    for (const name of STOPPING) this.#listen(name, () => this.#ask(name));
    for (const name of FORWARDED) this.#listen(name, () => void this.#child?.kill(name));
    // Before the program starts, so that it also adopts an orphan of its first moment.
    this.#becomeSubreaper();
    const child = startProgram(this.#options);
    this.#child = child;
    this.ended = once(child, 'exit', { signal: this.#ending.signal }).catch(() => {});
    await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(error))]);
    child.on('error', () => {});
    if (child.pid !== undefined) this.#watchdog = startWatchdog({ signal: 'SIGKILL', target: -child.pid });
    this.#reap();
    const timer = setTimeout(() => {
      if (this.#asked === undefined && !this.#options.inside && child.pid !== undefined) warmUp(child.pid);
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
    const at = performance.now();
    if (this.#asked === undefined) this.#asked = { signal, at };
    else if (at - this.#asked.at < SECOND_AFTER) return;
    else if (this.#now.signal.aborted) this.#kill();
    else this.#now.abort();
    this.#onAsked();
  }

  /** Resolves when the stop has ended; never without a request to stop. */
  async stopWhenAsked(): Promise<StopReport | undefined> {
    if (this.#asked === undefined) await new Promise<void>((resolve) => (this.#onAsked = resolve));
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return undefined;
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
    const { signal, deadline, queueWait, inside, opened, onProgress } = this.#options;
    const process = this.#hold(child, pid);
    try {
      return await stopProgram(
        {
          process,
          command: this.#options.command,
          cookies: this.#cookies,
          own: new Map(opened.map((fd) => [inodeOf(fd), fd])),
          leftBehind: () => {
            this.#reap();
            return this.#descendants();
          },
          kill: () => this.#kill(),
        },
        {
          reason,
          signal,
          deadline,
          queueWait,
          stopsItself: inside && (this.#mayBeLameDuck() || 'except own'),
          mayKill: true,
          now: this.#now.signal,
          noGates: this.#whyNoGates(inside),
          ...(onProgress === undefined ? {} : { onProgress }),
        },
      );
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

  #whyNoGates(inside: boolean): string | undefined {
    if (inside) return 'it stops itself, from inside (lastcall/register)';
    const loaded = loadLibc();
    return loaded.available ? undefined : `no gate was shut: ${loaded.reason}`;
  }

  /** Without a pidfd the PID of our own child is enough: it names no other process before Node has waited for the child. */
  #hold(child: ChildProcess, pid: number): HeldProcess {
    const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
    const signal = (name: NodeJS.Signals | 0): boolean => isRunning() && child.kill(name);
    try {
      return { ...holdProcess(pid), isRunning, signal };
    } catch {
      const copyDescriptor = (): never => {
        throw new Error('no pidfd here');
      };
      return { pid, isRunning, signal, copyDescriptor, close: () => {} };
    }
  }

  /** Kills the program, its process group, and descendants that have left the group. */
  #kill(): void {
    const pid = this.#child?.pid;
    if (pid !== undefined) sendSignal(-pid, 'SIGKILL');
    for (const descendant of this.#descendants()) sendSignal(descendant, 'SIGKILL');
  }

  #descendants(): readonly number[] {
    if (!this.#hasSubreaper) return [];
    return [...findTree(process.pid)].filter((pid) => pid !== process.pid && pid !== this.#watchdog?.pid);
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
    return report;
  }

  close(): void {
    this.#ending.abort();
    this.#watchdog?.dismiss();
  }
}
