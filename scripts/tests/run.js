// Runs the tests: those of quick.js, or with --full all of them. `npm test -- --help` says more.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runFile } from './file-run.js';
import { QUICK } from './quick.js';
import { shuffle } from './random.js';
import { Screen } from './screen.js';
import { summarize } from './summary.js';
import { fail, readArguments, readNumber } from './usage.js';

const HELP = `Usage: npm test -- [options] [part of a file's path ...]
       npm run test:full -- [options] [part of a file's path ...]

Runs the quick level (scripts/tests/quick.js), or with test:full every test file with its full counts.
With parts of paths it runs every file whose path has one of them, of whichever level.

  --rest         what the quick level leaves out, with the quick level's counts
  --no-skips     a test that is skipped makes the run fail
  --seed <n>     the files in a random order that this number gives
  --report <f>   writes the results to a file, as JSON
  --list         prints the files and runs nothing
  --help         prints this
`;

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TIMES = join(ROOT, 'dist', 'test-times.json');

const { values: options, positionals: wanted } = readArguments(HELP, {
  full: { type: 'boolean' },
  rest: { type: 'boolean' },
  'no-skips': { type: 'boolean' },
  seed: { type: 'string' },
  report: { type: 'string' },
  list: { type: 'boolean' },
});
if (options.rest && options.full) fail('--rest goes with npm test: npm run test:full runs everything');
const seed = options.seed === undefined ? undefined : readNumber('seed', options.seed, 0, 999_999_999);
const names = chooseFiles();
if (names.length === 0) fail(`No test file matches ${wanted.join(', ')}`);
if (options.list) {
  process.stdout.write(`${names.join('\n')}\n`);
  process.exit();
}
process.exit((await runAll()) ? 0 : 1);

async function runAll() {
  const over = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => over.abort());
  const env = { ...process.env, ...(options.full ? { LASTCALL_FULL: '1' } : {}) };
  const start = performance.now();
  const screen = new Screen(names.length);
  /** @type {import('./file-run.js').FileResult[]} */
  const results = [];
  const queue = [...names];
  const runNext = async () => {
    for (let name = queue.shift(); name !== undefined && !over.signal.aborted; name = queue.shift()) {
      screen.begins(name);
      const result = await runFile(name, { env, signal: over.signal });
      results.push(result);
      screen.ended(result);
    }
  };
  await Promise.all(Array.from({ length: sideBySide() }, runNext));
  screen.close();
  saveTimes(results);
  const took = performance.now() - start;
  if (options.report !== undefined) writeFileSync(options.report, JSON.stringify({ took, results }));
  return summarize(results, {
    took,
    noSkips: options['no-skips'] === true,
    isWhole: wanted.length === 0,
    hasTable: options.full === true || options.rest === true,
    isCutShort: over.signal.aborted,
  });
}

/** Two files at a time, or up to four where there are as many processors: most tests wait for the wire or for a kernel timer, and their client and server share the machine. */
function sideBySide() {
  return Math.min(4, Math.max(2, availableParallelism()));
}

function chooseFiles() {
  const all = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => name.slice(0, -'.test.ts'.length))
    .sort();
  const quick = new Set(QUICK.flatMap(({ files }) => files));
  for (const name of quick) if (!all.includes(name)) fail(`scripts/tests/quick.js names ${name}, which is not there`);
  if (wanted.length > 0) return inOrder(all.filter((name) => wanted.some((part) => `${name}.test.ts`.includes(part))));
  if (options.rest) return inOrder(all.filter((name) => !quick.has(name)));
  return inOrder(options.full ? all : all.filter((name) => quick.has(name)));
}

/** The longest first, as far as an earlier run tells: a long one at the end would run alone. @param {readonly string[]} files */
function inOrder(files) {
  if (seed !== undefined) return shuffle(files, seed);
  const times = readTimes();
  return [...files].sort((a, b) => (times[b] ?? 0) - (times[a] ?? 0));
}

/** @returns {Record<string, number>} */
function readTimes() {
  try {
    return JSON.parse(readFileSync(TIMES, 'utf8'));
  } catch {
    return {};
  }
}

/** @param {readonly import('./file-run.js').FileResult[]} results */
function saveTimes(results) {
  const times = readTimes();
  for (const { name, duration } of results) times[name] = Math.round(duration);
  mkdirSync(dirname(TIMES), { recursive: true });
  writeFileSync(TIMES, JSON.stringify(times));
}
