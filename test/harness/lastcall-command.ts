import { fileURLToPath } from 'node:url';
import { needsRoot } from './needs.ts';
import { type StartOptions, startCommand, type TestProcess } from './processes.ts';

/** The command as users have it. */
export const MAIN: string = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));

/** Starts `lastcall` with these arguments. */
export function startLastcall(args: readonly string[], options: StartOptions = {}): TestProcess {
  return startCommand([process.execPath, MAIN, ...args], options);
}

/** The words that start a command as a user who may look into nothing of root's. They need root. */
export const AS_NOBODY = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'] as const;

/** Starts `lastcall` by these words, as {@link AS_NOBODY}. */
export function startLastcallBelow(before: readonly string[], args: readonly string[]): TestProcess {
  return startCommand([...before, process.execPath, MAIN, ...args]);
}

/** What `lastcall stop` needs to shut a gate here: without the right to open it again it shuts none, but with --kill. */
export const TO_GATE: readonly string[] = needsRoot === false ? [] : ['--kill'];
