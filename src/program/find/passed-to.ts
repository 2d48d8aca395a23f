import { ownProcessId } from '../../linux/process/pidfd.ts';
import { environmentOf } from './environment.ts';

/** The first descriptor that is passed (SD_LISTEN_FDS_START, systemd/sd-daemon.h). */
const FIRST = 3;
// A larger number is an error: no service has as many.
const MOST = 1_024;

/** The descriptors that an activator has passed to a process of `tree` (sd_listen_fds(3)). Empty if its environment is unreadable. */
export function descriptorsPassedTo(pid: number, tree: ReadonlySet<number>): readonly number[] {
  return passedIn(environmentOf(pid), pid, tree);
}

/** The descriptors that an environment passes to a process. None if LISTEN_PID names another process of `tree`, which inherited it. */
export function passedIn(
  environment: ReadonlyMap<string, string>,
  pid: number,
  tree: ReadonlySet<number>,
): readonly number[] {
  const meantFor = Number(environment.get('LISTEN_PID') ?? pid);
  return meantFor !== pid && tree.has(meantFor) ? [] : descriptors(environment.get('LISTEN_FDS'));
}

/** The descriptors that an activator has passed to this process, for the program that it runs. */
export function passedToUs(env: NodeJS.ProcessEnv = process.env): readonly number[] {
  const { LISTEN_PID, LISTEN_PIDFDID, LISTEN_FDS } = env;
  if (LISTEN_PID !== String(process.pid)) return [];
  // An earlier process may have had the same PID.
  const own = LISTEN_PIDFDID === undefined ? undefined : ownProcessId();
  return own === undefined || LISTEN_PIDFDID === String(own) ? descriptors(LISTEN_FDS) : [];
}

function descriptors(text = ''): readonly number[] {
  const count = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return count > MOST ? [] : Array.from({ length: count }, (_, at) => FIRST + at);
}
