import type { LastCallState } from '../../close/diagnostics.ts';
import type { CloseReport } from '../../close/report.ts';
import type { Budget } from '../budget.ts';
import type { HeldListeners } from '../signals/held-listeners.ts';
import { lastWords, writeLastWords } from './last-report.ts';

/** What is left when nothing is left, in milliseconds: for a stop that is just done. */
const AT_LAST = 500;

/** How a process is left after its stop. */
export interface Leaving {
  readonly report: CloseReport;
  /** A hook failed, or an uncaught error was the reason. */
  readonly hasFailed: boolean;
  /** Exit code 1 also where something was cut. */
  readonly strict: boolean;
  /** The program's own listeners of the signal, where their turn is now. */
  readonly held: HeldListeners | undefined;
  readonly budget: Budget;
  /** Leaves nothing of the stop behind, and ends the process if that is ours to do. */
  readonly exit: (code: number) => void;
}

/** The last step of a stop that a signal or an error asked for: last words, the program's own listeners, the exit. */
export function leave({ report, hasFailed, strict, held, budget, exit }: Leaving): void {
  writeLastWords(lastWords(report));
  const code = hasFailed || (strict && report.outcome === 'forced') ? 1 : 0;
  if (code !== 0) process.exitCode = code;
  if (held === undefined) return exit(code);
  // They end the process themselves, or let it end; what is left of the budget is theirs.
  budget.letGo();
  budget.over.addEventListener('abort', () => {
    writeLastWords(["the program's own listeners of the signal have not ended the process in time"]);
    exit(1);
  });
  held.run();
}

/** Somebody else may end the process in the middle of its stop: whoever is served then is cut, and nobody else would say so. */
export function tellEarlyExit(state: () => LastCallState, over: AbortSignal): void {
  const tell = (): void => {
    if (state() === 'closed') return;
    writeLastWords([
      `the process has exited in the middle of its stop (${state()}): something has called process.exit()`,
    ]);
  };
  process.once('exit', tell);
  over.addEventListener('abort', () => process.off('exit', tell));
}

/** However a stop has gone wrong, the process does not outlive its time: it exits a little after that. */
export function leaveAtLast(budget: Budget, exit: () => void): void {
  budget.over.addEventListener('abort', () => {
    const timer = setTimeout(() => {
      writeLastWords(['the stop was not done in its time']);
      exit();
    }, AT_LAST);
    budget.ended.addEventListener('abort', () => clearTimeout(timer));
  });
}
