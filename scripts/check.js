// The checks beside the tests, one after the other; all are run, and any that fails makes this fail.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** @type {readonly { title: string, command: string, args: readonly string[] }[]} */
const checks = [
  { title: 'format', command: 'biome', args: ['format', '.'] },
  {
    title: 'lint (type-aware)',
    command: 'oxlint',
    args: ['--type-aware', '--deny-warnings', 'src', 'test', 'bench', 'scripts', 'examples'],
  },
  { title: 'rooms', command: 'depcruise', args: ['--config', 'scripts/rooms.cjs', 'src'] },
  { title: 'dead code', command: 'knip', args: [] },
  { title: 'package', command: 'publint', args: ['--strict'] },
  { title: 'types of the package', command: 'attw', args: ['--pack', '.', '--profile', 'esm-only'] },
];

const failed = checks.filter(({ title, command, args }) => {
  process.stdout.write(`\n== ${title}\n`);
  return spawnSync('npx', ['--no-install', command, ...args], { cwd: root, stdio: 'inherit' }).status !== 0;
});

process.stdout.write(
  failed.length === 0 ? '\nAll checks pass\n' : `\nFailed: ${failed.map(({ title }) => title).join(', ')}\n`,
);
process.exit(failed.length === 0 ? 0 : 1);
