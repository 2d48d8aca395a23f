import { cpSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolder } from './folders.ts';

const BUILT = fileURLToPath(new URL('../..', import.meta.url));

/** A fixture in a copy of the built library that has no FFI. */
export interface CopyWithoutKoffi extends Disposable {
  /** The path of the fixture's program; it needs an empty NODE_PATH. */
  readonly program: string;
}

/** What a fixture may import. */
const COPIED = ['src', 'test/fixtures', 'test/harness'] as const;

/**
 * Copies the built library and a fixture, by its path below test/fixtures without an extension: what somebody has whose package
 * manager left the FFI out. For `using`.
 */
export function makeCopyWithoutKoffi(name: string): CopyWithoutKoffi {
  const folder = makeFolder();
  for (const one of COPIED) cpSync(path.join(BUILT, one), path.join(folder.path, one), { recursive: true });
  writeFileSync(path.join(folder.path, 'package.json'), '{ "type": "module" }');
  return {
    program: path.join(folder.path, 'test/fixtures', `${name}.js`),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}
