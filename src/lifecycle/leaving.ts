import type { CloseReport } from '../close/report.ts';
import type { Budget } from './budget.ts';
import { exitAfter } from './exit.ts';
import type { HeldListeners } from './held-listeners.ts';
import { lastWords, writeLastWords } from './last-words.ts';

/** How a process is left after its stop. */
export interface Leaving {
  readonly report: CloseReport;
  /** A hook failed, or an uncaught error was the reason. */
  readonly hasFailed: boolean;
  /** Exit code 1 also where something was cut. */
  readonly strict: boolean;
  readonly isExiting: boolean;
  /** The program's own listeners of the signal, where their turn is now. */
  readonly held: HeldListeners | undefined;
  readonly budget: Budget;
  /** Nothing of the stop is left behind. */
  readonly letGo: () => void;
}

/** The last step of a stop that a signal or an error asked for: last words, the program's own listeners, the exit. */
export function leave(stop: object, leaving: Leaving): void {
  const { report, hasFailed, strict, isExiting, held, budget, letGo } = leaving;
  const exit = (code: number): void => {
    letGo();
    if (isExiting) exitAfter(stop, code);
  };
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
