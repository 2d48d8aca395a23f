// Makes a fresh clone ready, with Node and npm alone: installs what package-lock.json names if it is not there, builds
// what has changed. Everything it prints goes to stderr, so that `npm start -- --json` stays readable for a program.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const at = (...parts) => join(root, ...parts);

// Not `npm ci`: it refuses a lock file made where the binaries for other systems could not be seen.
if (isOlder(at('node_modules', '.package-lock.json'), [at('package-lock.json')])) {
  run('Installing what is missing', 'npm', ['install', '--no-audit', '--no-fund', '--loglevel=error']);
}
const stamp = at('dist', 'lib', 'index.js');
if (
  isOlder(stamp, [
    at('tsconfig.json'),
    at('scripts', 'bundle.js'),
    ...['src', 'test', 'bench'].flatMap((folder) => filesUnder(at(folder))),
  ])
) {
  run('Building', process.execPath, [at('node_modules', 'typescript', 'bin', 'tsc'), '-p', root]);
  run('Bundling', process.execPath, [at('scripts', 'bundle.js')]);
}

function isOlder(target, sources) {
  if (!existsSync(target)) return true;
  const made = statSync(target).mtimeMs;
  return sources.some((source) => statSync(source).mtimeMs > made);
}

function filesUnder(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

function run(title, command, args) {
  process.stderr.write(`${title} …\n`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (error !== undefined) process.stderr.write(`${command}: ${error.message}\n`);
  if (status !== 0) process.exit(status ?? 1);
}
