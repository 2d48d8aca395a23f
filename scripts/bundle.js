// Puts what tsc has made into few files, for users: each module that Node loads costs them time at the start, and a little
// with every request from then on. (docs/benchmarks.md shows what is left of it.)
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

rmSync(join(root, 'dist', 'lib'), { recursive: true, force: true });
removeStale(join(root, 'dist', 'src'), join(root, 'src'));
await build({
  absWorkingDir: root,
  entryPoints: {
    index: 'dist/src/index.js',
    metrics: 'dist/src/metrics.js',
    channel: 'dist/src/channel.js',
    register: 'dist/src/register.js',
    'cli/main': 'dist/src/cli/main.js',
    'cli/demo-server': 'dist/src/cli/demo/demo-server.js',
  },
  outdir: 'dist/lib',
  chunkNames: 'shared-[hash]',
  bundle: true,
  splitting: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  logLevel: 'warning',
});

/**
 * Removes what tsc made of files that are gone: the package has every declaration file of dist/src.
 * @param {string} folder
 * @param {string} sources
 */
function removeStale(folder, sources) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const made = join(folder, entry.name);
    const source = join(sources, entry.name.replace(/(\.d)?\.[jt]s$/, '.ts'));
    if (!existsSync(source)) rmSync(made, { recursive: true });
    else if (entry.isDirectory()) removeStale(made, source);
  }
}
