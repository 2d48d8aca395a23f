import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ClientProcess } from '../processes/client-process.ts';
import { raiseDescriptorLimit } from '../processes/descriptors.ts';
import type { Run } from '../run.ts';
import { ServerProcess } from '../processes/server-process.ts';
import { type Spread, spreadOf } from '../report/statistics.ts';

const command = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));

/** What `lastcall watch` costs at one look a second. */
export interface WatchFigures {
  readonly connections: number;
  /** CPU time, its own and the kernel's for it, in percent of one core. */
  readonly cpu: Spread;
}

const CONNECTIONS = [0, 10_000];
/** Descriptors that a process has besides its connections. */
const SPARE = 1_000;
/** Until what is loaded and compiled at the start is; in milliseconds. */
const SETTLED = 3_000;
const MEASURED = 10_000;
/** proc(5): USER_HZ is 100 on every architecture that Node runs on. */
const TICK = 10;

/** One after the other; the connections stay for all rounds. */
export async function measureWatching(run: Run): Promise<readonly WatchFigures[]> {
  raiseDescriptorLimit(Math.max(...CONNECTIONS) + SPARE);
  const figures: WatchFigures[] = [];
  for (const connections of CONNECTIONS) {
    const server = await ServerProcess.start('close', run.signal);
    const clients =
      connections === 0 ? undefined : new ClientProcess({ port: server.port, connections, signal: run.signal });
    await clients?.answered();
    const rounds: number[] = [];
    for (let round = 1; round <= run.watches; round++) {
      run.progress(`watch: ${connections} connections, round ${round} of ${run.watches}`);
      rounds.push(await percentOfCore(server.port, run.signal));
    }
    figures.push({ connections, cpu: spreadOf(rounds) });
    await server.end();
    await clients?.end();
  }
  return figures;
}

async function percentOfCore(port: number, signal: AbortSignal): Promise<number> {
  const watch = spawn(process.execPath, [command, 'watch', `:${port}`, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal,
  });
  watch.stdout.resume();
  const ended = once(watch, 'exit').catch(() => {});
  try {
    await pause(SETTLED, signal);
    const [before, began] = [cpuOf(watch), performance.now()];
    await pause(MEASURED, signal);
    return ((cpuOf(watch) - before) / (performance.now() - began)) * 100;
  } finally {
    watch.kill();
    await ended;
  }
}

/** Milliseconds: utime and stime of proc_pid_stat(5). */
function cpuOf({ pid }: ChildProcess): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK;
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  signal.throwIfAborted();
}
