/** Runs child-program.ts to its end, itself or below another command. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Why a test that changes the user or a namespace is skipped; false as root. */
export const NEEDS_ROOT: string | false = process.getuid?.() === 0 ? false : 'needs root';

const PROGRAM = fileURLToPath(new URL('./child-program.js', import.meta.url));

/** What the program prints, parsed. */
export function runChild(name: string, below: readonly string[] = []): unknown {
  const [command, ...args] = [...below, process.execPath, PROGRAM, name];
  return JSON.parse(execFileSync(command, args, { encoding: 'utf8', timeout: 30_000 }));
}
