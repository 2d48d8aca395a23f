// The tests' side of the fixture program/foreign-program.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StopReport } from '../../src/program/report.ts';
import { makeFolder } from '../harness/folders.ts';
import { startLastcall } from '../harness/lastcall-command.ts';
import { type Ended, fixture, type StartOptions, startCommand, type TestProcess } from '../harness/processes.ts';

/** The command line of a program without lastcall. Its file describes the orders. */
export function foreignLine(orders: object): readonly string[] {
  return [process.execPath, fixture('program/foreign-program'), JSON.stringify(orders)];
}

/** A program that is ready, with its own PID: the started process may be a command above it. */
export type RunningProgram = TestProcess & { readonly program: number };

/** Starts the program by itself. */
export async function startForeign(
  orders: object,
  { before = [], ...options }: StartOptions & { readonly before?: readonly string[] } = {},
): Promise<RunningProgram> {
  const running = startCommand([...before, ...foreignLine(orders)], options);
  return Object.assign(running, { program: await readPid(running) });
}

/** A program with `lastcall run` as its parent. */
export type RunUnderLastcall = RunningProgram & {
  /** How it ended. */
  readonly finished: Promise<{ readonly ended: Ended; readonly report: StopReport | undefined }>;
};

interface RunForeignOptions {
  readonly inside?: boolean;
  /** A command that starts the program, or becomes it. */
  readonly below?: readonly string[];
}

/** Starts the program by `lastcall run` with these options. */
export async function runForeign(
  orders: object,
  options: readonly string[] = [],
  { inside = false, below = [], ...startOptions }: StartOptions & RunForeignOptions = {},
): Promise<RunUnderLastcall> {
  const folder = makeFolder();
  const file = join(folder.path, 'report.json');
  const all = [...(inside ? [] : ['--no-inside']), '--report', file, ...options];
  const running = startLastcall(['run', ...all, '--', ...below, ...foreignLine(orders)], startOptions);
  const finished = running.ended.then((ended) => {
    using _ = folder;
    return { ended, report: readReport(file) };
  });
  return Object.assign(running, { program: await readPid(running), finished });
}

async function readPid(running: TestProcess): Promise<number> {
  try {
    const [, pid = ''] = await running.prints(/^ready (\d+) /m);
    return Number(pid);
  } catch (error) {
    await running[Symbol.asyncDispose]();
    throw error;
  }
}

/** Undefined if the command was killed before it wrote a report. */
function readReport(file: string): StopReport | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
