import { hasManager } from './systemd/sd-notify.ts';

/** What a service runs under, as far as its environment tells. */
export type Surroundings = 'kubernetes' | 'systemd' | 'other';

/** Defaults in milliseconds that depend on who stops the service. */
export interface StopDefaults {
  /** A few seconds less than the supervisor waits before SIGKILL. */
  readonly deadline: number;
  readonly lameDuck: number;
  readonly lameDuckMin: number;
}

const DEFAULTS: Readonly<Record<Surroundings, StopDefaults>> = {
  // terminationGracePeriodSeconds is 30; a pod's removal from the endpoints takes seconds to reach every proxy.
  kubernetes: { deadline: 25_000, lameDuck: 10_000, lameDuckMin: 5_000 },
  // TimeoutStopSec is 90 s.
  systemd: { deadline: 60_000, lameDuck: 0, lameDuckMin: 0 },
  // `docker stop` waits 10 s.
  other: { deadline: 9_000, lameDuck: 0, lameDuckMin: 0 },
};

export function stopDefaults(env: NodeJS.ProcessEnv = process.env): StopDefaults {
  return DEFAULTS[findSurroundings(env)];
}

function findSurroundings(env: NodeJS.ProcessEnv): Surroundings {
  if (isSet(env.KUBERNETES_SERVICE_HOST)) return 'kubernetes';
  return hasManager(env) || isStartedBySystemd(env) ? 'systemd' : 'other';
}

/** SYSTEMD_EXEC_PID of systemd.exec(5): inherited by all below, as by the shells of a terminal, so only ours or our parent's counts. */
function isStartedBySystemd({ SYSTEMD_EXEC_PID: pid }: NodeJS.ProcessEnv): boolean {
  return pid === String(process.pid) || (process.ppid !== 1 && pid === String(process.ppid));
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '';
}
