import { readFileSync } from 'node:fs';

/** The first descriptor that is passed (SD_LISTEN_FDS_START, systemd/sd-daemon.h). */
const FIRST = 3;
// No service has as many.
const MOST = 1_024;

/**
 * The descriptors that an activator has passed to a process (sd_listen_fds(3)), by what the process's environment was when it
 * began. Those that LISTEN_PID says are for another one of `tree` are not this one's: it has merely inherited the words. Empty
 * where the environment may not be read.
 */
export function descriptorsPassedTo(pid: number, tree: ReadonlySet<number>): readonly number[] {
  let environment: string;
  try {
    environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return [];
  }
  return parsePassed(environment, pid, tree);
}

/** Takes the text of /proc/PID/environ apart. */
export function parsePassed(environment: string, pid: number, tree: ReadonlySet<number>): readonly number[] {
  const variables = new Map(
    environment.split('\0').map((line): [string, string] => {
      const [name = ''] = line.split('=', 1);
      return [name, line.slice(name.length + 1)];
    }),
  );
  const meantFor = Number(variables.get('LISTEN_PID') ?? pid);
  const text = variables.get('LISTEN_FDS') ?? '';
  const count = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (count > MOST || (meantFor !== pid && tree.has(meantFor))) return [];
  return Array.from({ length: count }, (_, at) => FIRST + at);
}

/** The descriptors that an activator has passed to this process, for the program that it runs. */
export function passedToUs(env: NodeJS.ProcessEnv = process.env): readonly number[] {
  if (env.LISTEN_PID !== String(process.pid)) return [];
  const text = env.LISTEN_FDS ?? '';
  const count = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return count > MOST ? [] : Array.from({ length: count }, (_, at) => FIRST + at);
}
