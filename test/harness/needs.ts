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

/** Whether the kernel and this process's rights allow namespaces of its own: `unshare` with these options. */
export function needsNamespaces(...options: readonly string[]): string | false {
  const { status, error } = spawnSync('unshare', [...options, 'true'], { stdio: 'ignore' });
  return error === undefined && status === 0 ? false : `needs unshare(1), and the right to ${options.join(' ')}`;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
