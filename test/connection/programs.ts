import { type ChildProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The compiled program of a fixture. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}.js`, import.meta.url));
}

/** Why a program of Debian's cannot be used here, for a test's `skip`; false where it can. */
export function missingProgram(name: string): string | false {
  return spawnSync(name, ['--version']).error === undefined ? false : `no ${name} here`;
}

/** All that a program writes to its standard output, when it has ended. */
export async function outputOf(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  await once(child, 'close');
  return text;
}
