import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Run } from '../run.ts';
import { type Spread, spreadOf } from '../report/statistics.ts';

const command = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const family = fileURLToPath(new URL('../programs/run-family.js', import.meta.url));

/** What it costs to run a program as its parent. */
export interface RunFigures {
  readonly title: string;
  /** Milliseconds from the start of the parent until the program's own first moment. */
  readonly start: Spread;
  /** Resident memory of the parent while the program runs, in KiB. */
  readonly memory: Spread;
  /** By the number of the program's descendants: milliseconds from the signal until the gate is shut. Of lastcall only. */
  readonly gate: readonly { readonly descendants: number; readonly after: Spread }[];
}

// What Node itself takes.
const SPAWN = "require('child_process').spawn(process.argv[1], process.argv.slice(2), { stdio: 'inherit' })";

const LASTCALL = { title: 'lastcall run', line: [process.execPath, command, 'run', '--'] } as const;
const CONTENDERS: readonly { readonly title: string; readonly line: readonly [string, ...string[]] }[] = [
  LASTCALL,
  { title: 'tini', line: ['tini', '-s', '--'] },
  { title: 'dumb-init', line: ['dumb-init', '--'] },
  { title: 'node, which runs nothing but a spawn', line: [process.execPath, '-e', SPAWN, '--'] },
];

const DESCENDANTS = [0, 100];
// Until the parent has said what it has to say, and has warmed up.
const SETTLED = 1_000;

/** Each in turn; those that are not installed are left out. */
export async function measureRuns(run: Run): Promise<readonly RunFigures[]> {
  const present = CONTENDERS.filter(({ line: [name] }) => spawnSync(name, ['--version']).error === undefined);
  const measured = new Map(present.map((one) => [one, { start: new Array<number>(), memory: new Array<number>() }]));
  const gates = new Map(DESCENDANTS.map((descendants) => [descendants, new Array<number>()]));
  for (let round = 1; round <= run.runs; round++) {
    run.progress(`run: round ${round} of ${run.runs}`);
    for (const [{ line }, { start, memory }] of measured) {
      start.push(timeToStart(line));
      memory.push(await residentMemory(line, run.signal));
    }
    for (const [descendants, after] of gates) after.push(await timeToGate(descendants, run.signal));
  }
  return [...measured].map(([one, { start, memory }]) => ({
    title: one.title,
    start: spreadOf(start),
    memory: spreadOf(memory),
    gate: one === LASTCALL ? [...gates].map(([descendants, after]) => ({ descendants, after: spreadOf(after) })) : [],
  }));
}

function timeToStart([name, ...args]: readonly [string, ...string[]]): number {
  const began = performance.timeOrigin + performance.now();
  const { stdout } = spawnSync(name, [...args, 'date', '+%s%N'], { encoding: 'utf8' });
  return Number(stdout) / 1_000_000 - began;
}

async function residentMemory([name, ...args]: readonly [string, ...string[]], signal: AbortSignal): Promise<number> {
  const parent = spawn(name, [...args, 'sleep', '10'], { stdio: 'ignore', signal });
  const ended = once(parent, 'exit').catch(() => {});
  await pause(SETTLED, signal);
  const [, kibibytes = ''] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${parent.pid}/status`, 'latin1')) ?? [];
  parent.kill();
  await ended;
  return Number(kibibytes);
}

async function timeToGate(descendants: number, signal: AbortSignal): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'lastcall-bench-'));
  try {
    const report = join(folder, 'report.json');
    const options = ['run', '--quiet', '--no-inside', '--report', report, '--'];
    const parent = spawn(process.execPath, [command, ...options, process.execPath, family, String(descendants)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      signal,
    });
    const ended = once(parent, 'exit');
    await firstLine(parent);
    await pause(SETTLED, signal);
    parent.kill('SIGTERM');
    await ended;
    const { listeners }: { listeners: readonly { shutAfter: number }[] } = JSON.parse(readFileSync(report, 'utf8'));
    return listeners[0]?.shutAfter ?? Number.NaN;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function firstLine({ stdout }: ChildProcess): Promise<void> {
  if (stdout !== null) await once(stdout, 'data');
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  signal.throwIfAborted();
}
