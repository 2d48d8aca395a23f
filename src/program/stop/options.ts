import type { HeldProcess } from '../../linux/process/pidfd.ts';
import type { CookieCounters } from '../../linux/tables/tcp-counters.ts';
import type { StopPhase, StopProgress } from './progress.ts';

/** The program to stop. */
export interface StoppedProgram {
  readonly process: HeldProcess;
  readonly command: string;
  /** Listeners that this process has opened for it: descriptors here by the socket's inode. */
  readonly own: ReadonlyMap<number, number>;
  /** The counters of SYN cookies when it started; undefined if it was already running. */
  readonly cookies?: CookieCounters | undefined;
  /**
   * The processes that it leaves running when it has ended, all of which `lastcall run` knows. They get the signal, too. Undefined
   * if they are not known: then the program has ended once no process holds a listener whose gate was shut.
   */
  readonly leftBehind?: () => readonly number[];
  /** Kills it, and all that belongs to it. */
  kill(): void;
}

/** How to stop a program. */
export interface StopOptions {
  readonly reason: string;
  readonly signal: NodeJS.Signals;
  /** From the start of the stop, in ms. */
  readonly deadline: number;
  /** The longest wait until the queues are empty and no client is owed an answer, in ms. Default: a third of the deadline. */
  readonly queueWait?: number | undefined;
  /**
   * Whether the program itself shuts its gates and empties its queues: then the signal comes first. `except own`: the gates of the
   * listeners that this process has opened for it are shut before.
   */
  readonly stopsItself?: boolean | 'except own';
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
  readonly onProgress?: (phase: StopPhase, progress: StopProgress) => void;
}
