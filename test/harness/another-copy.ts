import { cpSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { makeFolder } from './folders.ts';

/** Another copy of the package, as an application or one of its packages may bring. For `using`. */
export interface AnotherCopy extends Disposable {
  /** Where to import it from. */
  readonly index: string;
  /** Where to register it from. */
  readonly register: string;
}

export function makeAnotherCopy(): AnotherCopy {
  const root = new URL('../../../', import.meta.url);
  const folder = makeFolder();
  cpSync(new URL('dist/lib', root), join(folder.path, 'dist', 'lib'), { recursive: true });
  cpSync(new URL('package.json', root), join(folder.path, 'package.json'));
  symlinkSync(fileURLToPath(new URL('node_modules', root)), join(folder.path, 'node_modules'));
  const urlOf = (name: string): string => pathToFileURL(join(folder.path, 'dist', 'lib', name)).href;
  return {
    index: urlOf('index.js'),
    register: urlOf('register.js'),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}
