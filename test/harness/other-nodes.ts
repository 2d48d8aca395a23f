import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Another version of Node that lastcall runs on; `npm run other-nodes` installs them (x64, glibc). */
export interface OtherNode {
  readonly title: string;
  readonly path: string;
  /** For a test's `skip`: why it cannot be used here. */
  readonly missing: string | false;
}

export const otherNodes: readonly OtherNode[] = [22, 24, 26].map((version) => {
  const path = fileURLToPath(
    new URL(`../../../scripts/other-nodes/node_modules/node-${version}/bin/node`, import.meta.url),
  );
  const missing = existsSync(path) ? false : `needs Node ${version} (npm run other-nodes)`;
  return { title: `Node ${version}`, path, missing };
});
