import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

const BUILT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The built library and a fixture, with those that it imports, as somebody has them whose package manager left the FFI out.
 * Returns the fixture's path; it needs an empty NODE_PATH.
 */
export function copyWithoutKoffi(t: TestContext, fixture: string, ...imported: readonly string[]): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'lastcall-without-koffi-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(path.join(BUILT, 'src'), path.join(folder, 'src'), { recursive: true });
  const copy = (name: string): string => path.join(folder, 'test', 'fixtures', name);
  for (const name of [fixture, ...imported]) cpSync(path.join(BUILT, 'test', 'fixtures', name), copy(name));
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }');
  return copy(fixture);
}
