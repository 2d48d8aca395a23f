// Runs `npm test` again and again, to find tests that fail now and then. `npm run test:repeat -- --help` says more.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { cpus, release, setPriority } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { duration, styled } from './screen.js';
import { readArguments, readNumber } from './usage.js';

const HELP = `Usage: npm run test:repeat -- [options] [part of a file's path ...]

Runs npm test so many times, each time with the files in another random order, and adds up what failed.

  --times <n>     how often (default 20)
  --beside-load   beside a load that takes one and a half processors
  --nice <n>      at this niceness, 0 to 19 (default 0)
  --full          runs npm run test:full instead
  --seed <n>      the seed of the first run; the others count up from it (default: drawn, and printed)
  --help          prints this

The output of each run is kept in dist/repeat. Exit code 1 when a run failed.
`;

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const here = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));

const { values: options, positionals: parts } = readArguments(HELP, {
  times: { type: 'string', default: '20' },
  'beside-load': { type: 'boolean' },
  nice: { type: 'string', default: '0' },
  full: { type: 'boolean' },
  seed: { type: 'string' },
});
const times = readNumber('times', options.times, 1, 1_000);
const nice = readNumber('nice', options.nice, 0, 19);
const seed = readNumber('seed', options.seed ?? String(Math.floor(Math.random() * 1e8)), 0, 999_000_000);
const folder = join(ROOT, 'dist', 'repeat');
mkdirSync(folder, { recursive: true });

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set();
const over = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    over.abort();
    for (const child of children) child.kill('SIGTERM');
  });
}

process.stdout.write(
  `${times} ${times === 1 ? 'run' : 'runs'}${options['beside-load'] ? ' beside a load' : ''}${nice > 0 ? ` at nice ${nice}` : ''}, Node ${process.version}, ` +
    `Linux ${release()}, ${cpus().length} processors\n`,
);
const loads = options['beside-load'] ? [1, 0.5].map((share) => start(here('load.js'), [String(share)])) : [];
/** @type {Map<string, number[]>} */
const failures = new Map();
/** @type {number[]} */
const durations = [];
let failedRuns = 0;
for (let run = 1; run <= times && !over.signal.aborted; run += 1) await runOnce(run);
for (const { child } of loads) child.kill('SIGKILL');
printTotal();
process.exit(failedRuns === 0 && !over.signal.aborted ? 0 : 1);

/** @param {number} run */
async function runOnce(run) {
  const report = join(folder, `run-${run}.json`);
  const args = ['--seed', String(seed + run), '--report', report, ...(options.full ? ['--full'] : []), ...parts];
  const { child, ended } = start(here('run.js'), args, join(folder, `run-${run}.txt`));
  if (nice > 0 && child.pid !== undefined) setPriority(child.pid, nice);
  const code = await ended;
  if (over.signal.aborted) return;
  const { took, results } = JSON.parse(readFileSync(report, 'utf8'));
  durations.push(took);
  const failed = results.flatMap((/** @type {any} */ { name, failed }) =>
    failed.map((/** @type {any} */ one) => `${name} > ${one.name}`),
  );
  if (code !== 0) failedRuns += 1;
  if (code !== 0 && failed.length === 0) failed.push('(see its output)');
  for (const name of failed) failures.set(name, [...(failures.get(name) ?? []), run]);
  const passed = results.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.passed, 0);
  const mark = code === 0 ? styled('green', '✔') : styled('red', '✖');
  process.stdout.write(
    `${mark} run ${String(run).padStart(2)}: ${passed} passed, ${failed.length} failed, ${duration(took)} (seed ${seed + run})\n`,
  );
  for (const name of failed) process.stdout.write(`    ${name}\n`);
}

function printTotal() {
  const sorted = durations.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  process.stdout.write(
    `\n${durations.length - failedRuns} of ${durations.length} runs passed; ` +
      `median ${duration(median)}, longest ${duration(sorted.at(-1) ?? 0)}\n`,
  );
  for (const [name, runs] of [...failures].sort(([, a], [, b]) => b.length - a.length)) {
    process.stdout.write(`  ${runs.length} × ${name} (runs ${runs.join(', ')})\n`);
  }
}

/** @param {string} program @param {readonly string[]} args @param {string} [output] */
function start(program, args, output) {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: ROOT,
    stdio: ['ignore', output === undefined ? 'ignore' : 'pipe', output === undefined ? 'inherit' : 'pipe'],
  });
  children.add(child);
  if (output !== undefined) {
    const file = createWriteStream(output);
    child.stdout?.pipe(file, { end: false });
    child.stderr?.pipe(file, { end: false });
    child.once('close', () => file.end());
  }
  const ended = once(child, 'close').then(([code]) => {
    children.delete(child);
    return code;
  });
  return { child, ended };
}
