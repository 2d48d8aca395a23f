import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of the test's own. */
export interface TestFolder extends Disposable {
  readonly path: string;
}

/** Makes an empty folder, for `using`. */
export function makeFolder(): TestFolder {
  const path = mkdtempSync(join(tmpdir(), 'lastcall-test-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
