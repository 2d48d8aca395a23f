import { setImmediate } from 'node:timers/promises';
import type { CloseReport } from '../../close/report.ts';
import type { Budget } from '../budget.ts';
import type { ListenerCalls } from '../signals/listener-calls.ts';
import type { ProgramListeners } from '../signals/program-listeners.ts';
import type { LastCallState } from '../state.ts';
import type { Work } from '../work.ts';
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
  /** The program's own listeners of the signal, if they run now, or have run during the drain. */
  readonly programListeners: ProgramListeners | undefined;
  /** How long to wait for those that return nothing, in ms. */
  readonly listenerWait: number;
  /** What a listener has given to `waitUntil` is waited for, too. */
  readonly work: Work;
  readonly budget: Budget;
  /** Undoes what the stop has set up, and ends the process if that is its end. */
  readonly exit: (code: number) => void;
  /** Calls back when no other stop is under way. */
  readonly whenLast: (callback: () => void) => void;
}

/** The last step of a stop that a signal or an error caused: lines on stderr, the program's own listeners, the exit. */
export function leave(leaving: Leaving): void {
  const { report, hasFailed, strict, programListeners, exit, whenLast } = leaving;
  printLines(...describeStop(report));
  const code = hasFailed || (strict && report.outcome === 'forced') ? 1 : 0;
  if (code !== 0) process.exitCode = code;
  if (programListeners === undefined) return exit(code);
  whenLast(() => void leaveToListeners(programListeners, leaving, code));
}

/**
 * The program's own listeners end the process, or let it end, or say when they have finished. They may use what is left of the
 * budget. One that returns nothing says nothing: it gets `listenerWait`.
 */
async function leaveToListeners(listeners: ProgramListeners, leaving: Leaving, code: number): Promise<void> {
  const { budget, listenerWait, work, exit } = leaving;
  budget.unref();
  const calls = listeners.run();
  if (listeners.endDrain()) {
    if (code !== 0) process.exitCode = code;
    process.exit();
  }
  const giveUp = (): void => {
    printLines(describeUnfinished(calls), ...work.doubts);
    exit(1);
  };
  if (budget.timeUp.aborted) void setImmediate().then(giveUp);
  else budget.timeUp.addEventListener('abort', giveUp);
  await calls.settled();
  await work.done(budget.left, budget.timeUp);
  // A signal that a listener has raised again comes with the next turn of the loop.
  await setImmediate();
  await setImmediate();
  if (calls.silent.length === 0 || listenerWait === 0) return exit(code);
  setTimeout(giveUp, listenerWait - (performance.now() - calls.began)).unref();
}

function describeUnfinished({ open, silent }: ListenerCalls): string {
  if (open.length + silent.length === 0) return 'the time of the stop is over';
  const [what, names] =
    open.length > 0
      ? ['have not finished in time', open]
      : ['have returned nothing, and have not ended the process in time', silent];
  return `the program's own listeners of the signal ${what}: ${names.join(', ')}`;
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
