// The checks beside the tests, one after the other; all are run, and any that fails makes this fail.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

const checks = [
  ['format', 'biome', ['format', '.']],
  ['lint (type-aware)', 'oxlint', ['--type-aware', '--deny-warnings', 'src', 'test', 'bench', 'scripts']],
  ['dead code', 'knip', []],
  ['package', 'publint', ['--strict']],
  ['types of the package', 'attw', ['--pack', '.', '--profile', 'esm-only']],
];

const failed = checks.filter(([title, command, args]) => {
  process.stdout.write(`\n== ${title}\n`);
  return spawnSync('npx', ['--no-install', command, ...args], { cwd: root, stdio: 'inherit' }).status !== 0;
});

process.stdout.write(
  failed.length === 0 ? '\nAll checks pass\n' : `\nFailed: ${failed.map(([title]) => title).join(', ')}\n`,
);
process.exit(failed.length === 0 ? 0 : 1);
