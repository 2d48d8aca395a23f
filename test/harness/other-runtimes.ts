import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A runtime other than Node; `npm run other-runtimes` installs them (x64, glibc). */
export interface OtherRuntime {
  readonly path: string;
  /** For a test's `skip`: why it cannot be used here. */
  readonly missing: string | false;
}

export const bun: OtherRuntime = find('Bun', '@oven/bun-linux-x64/bin/bun');
export const deno: OtherRuntime = find('Deno', '@deno/linux-x64-glibc/deno');

function find(title: string, file: string): OtherRuntime {
  const path = fileURLToPath(new URL(`../../../scripts/other-runtimes/node_modules/${file}`, import.meta.url));
  return { path, missing: existsSync(path) ? false : `needs ${title} (npm run other-runtimes)` };
}
