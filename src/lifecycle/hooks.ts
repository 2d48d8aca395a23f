import type { CloseReport } from '../close/report.ts';
import { LastCallError } from '../errors.ts';
import type { Budget } from './budget.ts';
import type { CompleteLastCallOptions } from './options/options.ts';
import { waitForAbort } from './wait.ts';

/** How long a hook may take. */
interface Limits {
  /** In ms. */
  readonly most: number;
  /** Aborted when its time is up, also before `most`. */
  readonly end: AbortSignal;
  /** Whether it is an error that the hook has not finished when `end` aborts. */
  readonly mustFinish: boolean;
}

/** The program's hooks in one stop, and their errors. */
export class Hooks {
  readonly errors: LastCallError[] = [];
  readonly #options: CompleteLastCallOptions;

  constructor(options: CompleteLastCallOptions) {
    this.#options = options;
  }

  /** When the lame duck is skipped, the stop no longer waits for the hook. That is no error. */
  async onLameDuck(reason: string, { forFirstHook: most, skipLameDuck: end }: Budget): Promise<void> {
    const { onLameDuck } = this.#options;
    if (onLameDuck === undefined) return;
    await this.#run('onLameDuck', () => onLameDuck(reason), { most, end, mustFinish: false });
  }

  async onDrained(report: CloseReport, { left: most, timeUp: end }: Budget): Promise<void> {
    const { onDrained } = this.#options;
    if (onDrained === undefined) return;
    await this.#run('onDrained', () => onDrained(report), { most, end, mustFinish: true });
  }

  async #run(name: string, hook: () => unknown, limits: Limits): Promise<void> {
    const error = await runHook(name, hook, limits);
    if (error !== undefined) this.errors.push(error);
  }
}

/**
 * Resolves with the error of a hook: `ERR_CALLBACK` if it threw or rejected, `ERR_OVERRUN` if it did not finish in time. What
 * it does after that is ignored.
 */
async function runHook(
  name: string,
  hook: () => unknown,
  { most, end, mustFinish }: Limits,
): Promise<LastCallError | undefined> {
  const settled = new AbortController();
  // An end that has come before leaves a quick hook time to finish.
  const signals = end.aborted ? [settled.signal] : [settled.signal, end];
  const limit = waitForAbort(signals, most).then(() =>
    mustFinish || !end.aborted ? new LastCallError('ERR_OVERRUN', `\`${name}\` did not finish in time`) : undefined,
  );
  const run = async (): Promise<undefined> => {
    await hook();
  };
  try {
    return await Promise.race([run(), limit]);
  } catch (cause) {
    return new LastCallError('ERR_CALLBACK', `\`${name}\` threw`, { cause });
  } finally {
    settled.abort();
  }
}
