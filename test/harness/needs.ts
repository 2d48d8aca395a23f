/** Why a test cannot run here, for its `skip`: false where it can. The summary of a run gathers these sentences. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export const needsRoot: string | false = process.getuid?.() === 0 ? false : 'needs root';

/** Programs by their name on the PATH, or by their path. */
export function needsPrograms(...programs: readonly string[]): string | false {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const isThere = (name: string): boolean =>
    name.includes('/') ? isProgram(name) : folders.some((folder) => isProgram(join(folder, name)));
  const lacking = programs.filter((name) => !isThere(name));
  return lacking.length === 0 ? false : `needs ${lacking.join(', ')}`;
}

/** Namespaces that `unshare` makes with these options: in a container root may lack the right, too. */
export function needsNamespaces(...options: readonly string[]): string | false {
  return needsRoot || needsSuccess(`namespaces (unshare ${options.join(' ')})`, ['unshare', ...options, 'true']);
}

/** What a command line finds out: it ends with 0 where it is there. */
export function needsSuccess(what: string, [command = '', ...args]: readonly string[]): string | false {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0 ? false : `needs ${what}`;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
