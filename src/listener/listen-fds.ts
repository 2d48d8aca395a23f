/** Which listening sockets a supervisor has passed to this process: the protocol of sd_listen_fds(3). */

/** The first descriptor that is passed (SD_LISTEN_FDS_START, systemd/sd-daemon.h). */
const FIRST = 3;

// No service has as many; each is looked at.
const MOST = 1_024;

/** What the environment says of passed descriptors. */
export interface Passed {
  /** The process that they are meant for, as it was written; undefined if nobody said. */
  readonly pid: string | undefined;
  /** The same process by its number on pidfs, which is never used again; undefined if nobody said. */
  readonly processId: string | undefined;
  readonly descriptors: readonly { readonly fd: number; readonly name: string }[];
}

/** Of the variables that are not in the environment any more. */
let taken = 0;

/** Whether LISTEN_FDS counts the descriptor, or did before it was taken out of the environment. */
export function isPassedBySupervisor(fd: number): boolean {
  return fd >= FIRST && fd < FIRST + Math.max(taken, countPassed());
}

/** Reads the variables, and takes them out of the environment: they are not meant for children of ours. */
export function takePassed(): Passed {
  const count = countPassed();
  const names = (process.env.LISTEN_FDNAMES ?? '').split(':');
  const pid = process.env.LISTEN_PID;
  const processId = process.env.LISTEN_PIDFDID;
  taken = Math.max(taken, count);
  delete process.env.LISTEN_FDS;
  delete process.env.LISTEN_FDNAMES;
  delete process.env.LISTEN_PID;
  delete process.env.LISTEN_PIDFDID;
  const descriptors = Array.from({ length: count }, (_, at) => ({ fd: FIRST + at, name: names[at] || 'unknown' }));
  return { pid, processId, descriptors };
}

function countPassed(): number {
  const text = process.env.LISTEN_FDS ?? '';
  const count = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return count <= MOST ? count : 0;
}
