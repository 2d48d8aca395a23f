import type { StopPhase, StopProgress } from '../stop/progress.ts';
import type { ProgramStart } from './start-program.ts';

/** How to run and stop a program. Times are in ms. */
export interface RunOptions extends ProgramStart {
  /** The signal that stops the program. */
  readonly signal: NodeJS.Signals;
  readonly deadline: number;
  /** The longest wait for the queues, in ms. Default: a third of the deadline. */
  readonly queueWait?: number | undefined;
  readonly lameDuck: number;
  /** Called at the first request to stop. */
  readonly onAsked?: () => void;
  readonly onProgress?: (phase: 'lame duck' | StopPhase, progress: StopProgress) => void;
}
