import { cpSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeFolder } from './folders.ts';

const BUILT = fileURLToPath(new URL('../..', import.meta.url));

/** A fixture in a copy of the built library that has no FFI. */
export interface CopyWithoutKoffi extends Disposable {
  /** The path of the fixture's program; it needs an empty NODE_PATH. */
  readonly program: string;
}

/**
 * Copies the built library, a fixture and those that it imports, by their paths below test/fixtures without an extension: what
 * somebody has whose package manager left the FFI out. For `using`.
 */
export function makeCopyWithoutKoffi(name: string, ...imported: readonly string[]): CopyWithoutKoffi {
  const folder = makeFolder();
  cpSync(path.join(BUILT, 'src'), path.join(folder.path, 'src'), { recursive: true });
  const copyOf = (one: string): string => path.join(folder.path, 'test', 'fixtures', `${one}.js`);
  for (const one of [name, ...imported]) cpSync(path.join(BUILT, 'test', 'fixtures', `${one}.js`), copyOf(one));
  writeFileSync(path.join(folder.path, 'package.json'), '{ "type": "module" }');
  return { program: copyOf(name), [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

/** The same with extensions, until the test ends. */
export function copyWithoutKoffi(t: TestContext, name: string, ...imported: readonly string[]): string {
  const copy = makeCopyWithoutKoffi(...without(name), ...imported.flatMap(without));
  t.after(() => copy[Symbol.dispose]());
  return copy.program;
}

function without(name: string): [string] {
  return [name.replace(/\.js$/, '')];
}
