import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findTree } from '../../src/program/process-tree.ts';
import type { StopReport } from '../../src/program/report.ts';
import { type Ended, start, startLastcall, type Started, type StartOptions } from '../harness/lastcall-command.ts';
import { makeFolder } from './programs.ts';

const FIXTURE = fileURLToPath(new URL('../fixtures/program/foreign-program.js', import.meta.url));

/** The command line of the program that knows nothing of lastcall; see its file for what can be ordered. */
function foreignLine(orders: object): readonly string[] {
  return [process.execPath, FIXTURE, JSON.stringify(orders)];
}

/** A program that is ready, and its own process. */
export interface RunningProgram extends Started {
  readonly program: number;
}

/** Starts the program by itself. */
export async function startForeign(
  t: TestContext,
  orders: object,
  { before = [], ...options }: StartOptions & { readonly before?: readonly string[] } = {},
): Promise<RunningProgram> {
  const running = start(t, [...before, ...foreignLine(orders)], options);
  return { ...running, program: await readPid(running) };
}

/** One that `lastcall run` is the parent of. */
export interface RunUnderLastcall extends RunningProgram {
  /** What it was at the end. */
  readonly finished: Promise<{ readonly ended: Ended; readonly report: StopReport | undefined }>;
}

/** Starts the program by `lastcall run` with these options. */
export async function runForeign(
  t: TestContext,
  orders: object,
  options: readonly string[] = [],
  { inside = false, ...startOptions }: StartOptions & { readonly inside?: boolean } = {},
): Promise<RunUnderLastcall> {
  const report = join(makeFolder(t), 'report.json');
  const all = [...(inside ? [] : ['--no-inside']), '--report', report, ...options];
  const running = startLastcall(t, ['run', ...all, '--', ...foreignLine(orders)], startOptions);
  const program = await readPid(running);
  const finished = running.ended.then((ended) => ({ ended, report: readReport(report) }));
  return { ...running, program, finished };
}

async function readPid(running: Started): Promise<number> {
  const [, pid = ''] = await running.says(/^ready (\d+) /m);
  return Number(pid);
}

function readReport(file: string): StopReport | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Holds a process and its descendants still, and lets them go on again. */
export function holdStill(t: TestContext, pid: number): { goOn(): void } {
  const pids = [...findTree(pid)];
  const signalAll = (signal: NodeJS.Signals): void => {
    for (const one of pids) {
      try {
        process.kill(one, signal);
      } catch {
        // It has ended meanwhile.
      }
    }
  };
  signalAll('SIGSTOP');
  t.after(() => signalAll('SIGCONT'));
  return { goOn: () => signalAll('SIGCONT') };
}

/** Whether a process is there, and not dead. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}
