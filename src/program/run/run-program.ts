import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { inodeOf } from '../../linux/descriptors.ts';
import { loadLibc } from '../../linux/libc.ts';
import { type HeldProcess, holdProcess } from '../../linux/process/pidfd.ts';
import type { CookieCounters } from '../../linux/tables/tcp-counters.ts';
import { becomeSubreaper, reapOrphans } from '../../linux/process/subreaper.ts';
import { forManyListeners } from '../../node/abort.ts';
import { type Keeper, startKeeper } from '../watchdog.ts';
import { sampleCookies } from '../gate/outside-cookies.ts';
import { findTree } from '../find/process-tree.ts';
import { rehearse } from './warm-up.ts';
import type { StopReport } from '../report.ts';
import type { Seen } from '../stop/settle.ts';
import { type ProgramStart, startProgram } from './start-program.ts';
import { type StopPhase, stopProgram } from '../stop/stop-program.ts';

/** How a program is run, and stopped. Times are in milliseconds. */
export interface RunOptions extends ProgramStart {
  /** What the program is sent when it has to stop. */
  readonly signal: NodeJS.Signals;
  readonly deadline: number;
  readonly lameDuck: number;
  /** Those of `listeners` that were opened for it here, and are nobody else's. */
  readonly opened: readonly number[];
  readonly onProgress?: (phase: 'lame duck' | StopPhase, seen: Seen) => void;
}

/** What came of it. */
export interface RunResult {
  /** What the program's own was, or 128 and the number of the signal that ended it. */
  readonly exitCode: number;
  /** Undefined if nobody asked it to stop. */
  readonly report: StopReport | undefined;
}

const STOPPING = ['SIGTERM', 'SIGINT'] as const;
/** Handed on as they come; a program that does not expect one ends by it, as it would without us. */
const FORWARDED = ['SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGALRM', 'SIGPWR'] as const;

/** A second signal means now; a supervisor that sends one twice in a row does not. */
const SECOND_AFTER = 500;

/** The program's own start comes first; in ms. */
const REHEARSE_AFTER = 200;

/** What is left of the program when it has ended is told to, and then killed after this. */
const LEFT_BEHIND_FOR = 5_000;
const LOOK_EVERY = 20;

/**
 * Runs a program as its parent, and as a good PID 1: hands signals on, waits for orphans, and ends as the program does. Asked to
 * stop, it stops it without losing a client. Throws what spawn does: ENOENT, EACCES.
 */
export async function runProgram(options: RunOptions): Promise<RunResult> {
  const running = new RunningProgram(options);
  try {
    await running.start();
    const stopped = running.stopWhenAsked();
    await running.ended;
    const report = running.wasAsked ? await stopped : undefined;
    await running.endWhatIsLeft();
    return { exitCode: running.exitCode, report: running.complete(report) };
  } finally {
    running.close();
  }
}

class RunningProgram {
  readonly #options: RunOptions;
  readonly #over: AbortController = forManyListeners();
  readonly #now: AbortController = new AbortController();
  #child: ChildProcess | undefined;
  #keeper: Keeper | undefined;
  #asked: { readonly signal: NodeJS.Signals; readonly at: number } | undefined;
  #onAsked: () => void = () => {};
  #hasSubreaper = false;
  /** What was out before the program began is not its. */
  readonly #cookies: CookieCounters | undefined = sampleCookies();
  readonly #note: string[] = [];
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
    // Before the program is there: what it leaves behind at once is ours, too.
    this.#becomeSubreaper();
    const child = startProgram(this.#options);
    this.#child = child;
    this.ended = once(child, 'exit', { signal: this.#over.signal }).catch(() => {});
    await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(error))]);
    child.on('error', () => {});
    if (child.pid !== undefined) this.#keeper = startKeeper({ signal: 'SIGKILL', target: -child.pid });
    this.#reap();
    const rehearsal = setTimeout(() => {
      if (this.#asked === undefined && !this.#options.inside && child.pid !== undefined) rehearse(child.pid);
    }, REHEARSE_AFTER);
    this.#over.signal.addEventListener('abort', () => clearTimeout(rehearsal));
  }

  #becomeSubreaper(): void {
    if (!loadLibc().available) return;
    try {
      becomeSubreaper();
      this.#hasSubreaper = true;
      this.#listen('SIGCHLD', () => this.#reap());
    } catch {
      // Then orphans go to whoever takes them without us.
    }
  }

  #reap(): void {
    if (this.#hasSubreaper) reapOrphans((pid) => pid === this.#child?.pid || pid === this.#keeper?.pid);
  }

  #listen(name: NodeJS.Signals, listener: () => void): void {
    process.on(name, listener);
    this.#over.signal.addEventListener('abort', () => process.off(name, listener));
  }

  #ask(signal: NodeJS.Signals): void {
    const at = performance.now();
    if (this.#asked === undefined) this.#asked = { signal, at };
    else if (at - this.#asked.at < SECOND_AFTER) return;
    else if (this.#now.signal.aborted) this.#kill();
    else this.#now.abort();
    this.#onAsked();
  }

  /** Resolves when the stop is over; never, if nobody asks. */
  async stopWhenAsked(): Promise<StopReport | undefined> {
    if (this.#asked === undefined) await new Promise<void>((resolve) => (this.#onAsked = resolve));
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return undefined;
    const { lameDuck, onProgress } = this.#options;
    const reason = this.#asked?.signal ?? 'SIGTERM';
    if (lameDuck > 0) {
      onProgress?.('lame duck', { queued: 0, halfOpen: 0, open: 0, owed: 0 });
      const signal = AbortSignal.any([this.#now.signal, this.#over.signal]);
      await Promise.race([this.ended, sleep(lameDuck, undefined, { signal }).catch(() => {})]);
    }
    return this.#stop(child, child.pid, reason);
  }

  async #stop(child: ChildProcess, pid: number, reason: string): Promise<StopReport | undefined> {
    const { signal, deadline, inside, opened, onProgress } = this.#options;
    const process = this.#hold(child, pid);
    try {
      return await stopProgram(
        {
          process,
          command: this.#options.command,
          cookies: this.#cookies,
          own: new Map(opened.map((fd) => [inodeOf(fd), fd])),
          leavesNobody: true,
          kill: () => this.#kill(),
        },
        {
          reason,
          signal,
          deadline,
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

  #whyNoGates(inside: boolean): string | undefined {
    if (inside) return 'it stops itself, from inside (lastcall/register)';
    const loaded = loadLibc();
    return loaded.available ? undefined : `no gate was shut: ${loaded.reason}`;
  }

  /** Our own child's number is nobody else's as long as Node has not waited for it; where there is no pidfd that is enough. */
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

  /** The program, its process group, and whoever has left that and is a descendant of ours. */
  #kill(): void {
    const pid = this.#child?.pid;
    if (pid !== undefined) kill(-pid, 'SIGKILL');
    for (const descendant of this.#descendants()) kill(descendant, 'SIGKILL');
  }

  #descendants(): readonly number[] {
    if (!this.#hasSubreaper) return [];
    return [...findTree(process.pid)].filter((pid) => pid !== process.pid && pid !== this.#keeper?.pid);
  }

  /** A program that has ended leaves nothing running: what it forked into the background is told to stop, and then killed. */
  async endWhatIsLeft(): Promise<void> {
    this.#reap();
    const left = this.#descendants();
    if (left.length === 0) return;
    this.#note.push(`${left.length} processes that it left behind were stopped`);
    for (const pid of left) kill(pid, this.#options.signal);
    const end = performance.now() + LEFT_BEHIND_FOR;
    while (this.#descendants().length > 0 && performance.now() < end && !this.#now.signal.aborted) {
      await sleep(LOOK_EVERY);
      this.#reap();
    }
    for (const pid of this.#descendants()) kill(pid, 'SIGKILL');
  }

  get exitCode(): number {
    const { exitCode = null, signalCode = null } = this.#child ?? {};
    return exitCode ?? (signalCode === null ? 1 : 128 + constants.signals[signalCode]);
  }

  complete(report: StopReport | undefined): StopReport | undefined {
    if (report === undefined) return undefined;
    const { exitCode = null, signalCode = null } = this.#child ?? {};
    report.program = { ...report.program, exitCode: exitCode ?? undefined, signal: signalCode ?? undefined };
    report.notes.push(...this.#note);
    return report;
  }

  close(): void {
    this.#over.abort();
    this.#keeper?.dismiss();
  }
}

/** What has gone meanwhile needs no signal. */
function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone, or another user's: a setuid program that we started ends by itself or not at all.
  }
}
