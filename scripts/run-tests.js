// Runs every compiled test: `node --test` on Node 20 takes no glob, so the files are named. With --full the issues' full
// counts of stops are run instead of three each.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const full = process.argv.includes('--full');
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));

const files = readdirSync(join(root, 'test'), { recursive: true })
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .map((name) => join(root, 'dist', 'test', name.replace(/\.ts$/, '.js')))
  .sort();

if (files.length === 0) {
  process.stderr.write(`No test file matches ${wanted.join(', ')}\n`);
  process.exit(2);
}

// Two at a time, or up to four where there are as many processors: most tests wait for the wire or for a kernel timer, and their
// client and server share the machine.
const sideBySide = Math.min(4, Math.max(2, availableParallelism()));
const { status } = spawnSync(process.execPath, ['--test', `--test-concurrency=${sideBySide}`, ...files], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, ...(full ? { LASTCALL_FULL: '1' } : {}) },
});
process.exit(status ?? 1);
