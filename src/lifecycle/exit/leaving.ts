import type { CloseReport } from '../../close/report.ts';
import type { Budget } from '../budget.ts';
import type { ProgramListeners } from '../signals/program-listeners.ts';
import type { LastCallState } from '../state.ts';
import { describeStop, printLines } from './stderr.ts';

/** Grace after the deadline, in ms: a stop may just be ending. */
const GRACE = 500;

/** How a process is left after its stop. */
export interface Leaving {
  readonly report: CloseReport;
  /** A hook failed, or an uncaught error was the reason. */
  readonly hasFailed: boolean;
  /** Exit code 1 also if something was cut. */
  readonly strict: boolean;
  /** The program's own listeners of the signal, if they run now. */
  readonly programListeners: ProgramListeners | undefined;
  readonly budget: Budget;
  /** Undoes what the stop has set up, and ends the process if that is its end. */
  readonly exit: (code: number) => void;
}

/** The last step of a stop that a signal or an error caused: lines on stderr, the program's own listeners, the exit. */
export function leave({ report, hasFailed, strict, programListeners, budget, exit }: Leaving): void {
  printLines(...describeStop(report));
  const code = hasFailed || (strict && report.outcome === 'forced') ? 1 : 0;
  if (code !== 0) process.exitCode = code;
  if (programListeners === undefined) return exit(code);
  // They end the process, or let it end. They may use what is left of the budget.
  budget.unref();
  budget.timeUp.addEventListener('abort', () => {
    printLines("the program's own listeners of the signal did not end the process in time");
    exit(1);
  });
  programListeners.run();
}

/** Reports a process that exits during its stop, and so cuts its clients. Nothing else would show the cause. */
export function reportEarlyExit(state: () => LastCallState, ended: AbortSignal): void {
  const onExit = (): void => {
    if (state() === 'closed') return;
    printLines(`the process exited during its stop (${state()}): something called process.exit()`);
  };
  process.once('exit', onExit);
  ended.addEventListener('abort', () => process.off('exit', onExit));
}

/** However a stop goes wrong, the process exits a little after its deadline. */
export function exitAtLast(budget: Budget, exit: () => void): void {
  budget.timeUp.addEventListener('abort', () => {
    const timer = setTimeout(() => {
      printLines('the stop did not finish in time');
      exit();
    }, GRACE);
    budget.ended.addEventListener('abort', () => clearTimeout(timer));
  });
}
