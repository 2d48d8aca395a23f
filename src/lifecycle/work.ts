import { inspect } from 'node:util';
import { LastCallError, optionError } from '../errors.ts';
import { sharedInProcess } from '../node/shared.ts';
import { waitForAbort } from './wait.ts';
import { warn } from './warn.ts';

/** Work that goes on after its response, and that a stop waits for. */
interface Task {
  readonly name: string | undefined;
  /** The service that waits for it; undefined if all services of this process do. */
  readonly owner: object | undefined;
  /** Never rejects. */
  readonly settled: Promise<void>;
}

/** What is done about work that has failed. */
type OnFailed = (failed: string, cause: unknown) => void;

/** Of all copies of lastcall in this process. */
const tasks = sharedInProcess<Set<Task>>('tasks', () => new Set());
/** The stops that are under way, of all copies: their reports name what fails. */
const reports = sharedInProcess<Set<OnFailed>>('failed tasks', () => new Set());

/**
 * Lets every service of this process wait for work that goes on after its response, before the process exits: a job, a mail, a
 * log. Its time is what the drain leaves of the deadline. What is not done by then is named in the report. A rejection is
 * reported, and not thrown. Without a service it does nothing else.
 *
 * A module that must not depend on lastcall finds this function as `globalThis[Symbol.for('lastcall.waitUntil')]`.
 *
 * @param name - What the report calls the work.
 * @throws `LastCallError` with code `ERR_OPTION` for what is no promise.
 *
 * @example
 * ```ts
 * import { waitUntil } from 'lastcall';
 *
 * waitUntil(fetch('http://127.0.0.1:9000/audit', { method: 'POST' }), 'audit');
 * ```
 */
export function waitUntil(promise: PromiseLike<unknown>, name?: string): void {
  addTask(promise, name, undefined, (failed, cause) => {
    if (reports.size === 0) warnOfFailure(failed, cause);
    for (const report of reports) report(failed, cause);
  });
}

/** Resolves when all work of this process is done, that which comes meanwhile included. */
export async function allWorkDone(): Promise<void> {
  while (tasks.size > 0) await Promise.all([...tasks].map(({ settled }) => settled));
}

/** Offers `waitUntil` to modules that do not import lastcall. */
export function publishWaitUntil(): void {
  sharedInProcess('waitUntil', () => waitUntil);
}

/** The work that one service waits for. */
export class Work {
  readonly errors: LastCallError[] = [];

  add(promise: unknown, name: unknown): void {
    addTask(promise, name, this, (failed, cause) => {
      if (reports.has(this.#report)) this.#report(failed, cause);
      else warnOfFailure(failed, cause);
    });
  }

  /** The stop has begun: what fails from now on is in its report. */
  begin(): void {
    reports.add(this.#report);
  }

  /** The report is out. */
  end(): void {
    reports.delete(this.#report);
  }

  /** Resolves when all of it is done, that which comes meanwhile included, after `most` ms, or when `end` aborts. */
  async done(most: number, end: AbortSignal): Promise<void> {
    const until = performance.now() + most;
    while (this.#left.length > 0 && !end.aborted && performance.now() < until) {
      const settled = new AbortController();
      void Promise.all(this.#left.map((task) => task.settled)).then(() => settled.abort());
      await waitForAbort([end, settled.signal], until - performance.now());
    }
  }

  /** What is not done, for the report. */
  get doubts(): readonly string[] {
    const names = this.#left.map(({ name }) => name ?? 'a promise without a name');
    return names.length === 0 ? [] : [`work given to \`waitUntil\` was not done in time: ${names.join(', ')}`];
  }

  readonly #report: OnFailed = (failed, cause) => {
    this.errors.push(new LastCallError('ERR_CALLBACK', failed, { cause }));
  };

  get #left(): readonly Task[] {
    return [...tasks].filter(({ owner }) => owner === undefined || owner === this);
  }
}

function addTask(promise: unknown, name: unknown, owner: object | undefined, onFailed: OnFailed): void {
  if (!isThenable(promise)) throw optionError('promise', 'a promise', promise);
  if (name !== undefined && typeof name !== 'string') throw optionError('name', 'a string', name);
  const fail = (cause: unknown): void => onFailed(`work given to \`waitUntil\` failed: ${name ?? 'a promise'}`, cause);
  const settled = Promise.resolve(promise).then(() => {}, fail);
  const task: Task = { name, owner, settled };
  tasks.add(task);
  void settled.then(() => tasks.delete(task));
}

function warnOfFailure(failed: string, cause: unknown): void {
  warn(`${failed}: ${inspect(cause)}`);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof Object(value).then === 'function';
}
