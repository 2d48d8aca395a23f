import { hasManager } from '../systemd/sd-notify.ts';

/** Defaults that depend on what stops the service, in ms. */
export interface StopDefaults {
  /** A few seconds less than the time after which the platform sends SIGKILL. */
  readonly deadline: number;
  readonly lameDuck: number;
  readonly lameDuckMin: number;
}

// terminationGracePeriodSeconds is 30. The removal of a pod from the endpoints takes seconds to reach every proxy.
const KUBERNETES: StopDefaults = { deadline: 25_000, lameDuck: 10_000, lameDuckMin: 5_000 };
// TimeoutStopSec is 90 s.
const SYSTEMD: StopDefaults = { deadline: 60_000, lameDuck: 0, lameDuckMin: 0 };
// `docker stop` waits 10 s.
const OTHER: StopDefaults = { deadline: 9_000, lameDuck: 0, lameDuckMin: 0 };

export function stopDefaults(env: NodeJS.ProcessEnv = process.env): StopDefaults {
  if (env.KUBERNETES_SERVICE_HOST !== undefined && env.KUBERNETES_SERVICE_HOST !== '') return KUBERNETES;
  return hasManager(env) || isStartedBySystemd(env) ? SYSTEMD : OTHER;
}

/**
 * By SYSTEMD_EXEC_PID of systemd.exec(5). All descendants inherit it, those of a terminal's shell too, so it counts only if it
 * names this process or its parent.
 */
function isStartedBySystemd({ SYSTEMD_EXEC_PID: pid }: NodeJS.ProcessEnv): boolean {
  return pid === String(process.pid) || (process.ppid !== 1 && pid === String(process.ppid));
}
