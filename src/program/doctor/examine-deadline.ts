import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { readDuration } from '../../durations.ts';
import { environmentOf } from '../find/environment.ts';
import { type Finding, good, note, warning } from './finding.ts';

/** What sends the program its signal, and how long it waits before SIGKILL. */
export interface Supervisor {
  readonly name: string;
  /** In ms; undefined if it waits for ever. */
  readonly waits: number | undefined;
  /** Where the time is set. */
  readonly setting: string;
  /** Whether the time was read from the setting; otherwise it is the default. */
  readonly isKnown: boolean;
  /** Only of systemd. */
  readonly killMode?: string;
}

// The default of `lastcall run` and `lastcall stop`, in ms.
const USUAL_DEADLINE = 30_000;
// Time for the report, and for the kernel to end the process, in ms.
const MARGIN = 1_000;
const SYSTEMCTL_LIMIT = 2_000;

/** Whether a stop ends before the supervisor kills the program. `given` is the deadline of the command line, in ms. */
export async function examineDeadline(pid: number, given: number | undefined): Promise<readonly Finding[]> {
  const env = environmentOf(pid);
  const supervisor = await findSupervisor(pid, env);
  const own = readDuration(env.get('LASTCALL_DEADLINE') ?? '');
  const deadline = given ?? own ?? USUAL_DEADLINE;
  const source =
    given !== undefined
      ? '--deadline'
      : own !== undefined
        ? 'LASTCALL_DEADLINE'
        : 'the default of lastcall run and stop';
  if (supervisor === undefined) {
    return [
      note('supervisor', 'unknown: no systemd unit and no container found, so the time before SIGKILL is not known'),
    ];
  }
  const { name, setting, waits } = supervisor;
  const time = waits === undefined ? 'waits for ever' : `kills after ${seconds(waits)}`;
  return [
    good('supervisor', `${name} ${time} (${setting}${supervisor.isKnown ? '' : ', unless it was set'})`),
    judgeDeadline(supervisor, deadline, source),
    ...judgeKillMode(supervisor.killMode),
  ];
}

export function judgeDeadline({ waits, setting }: Supervisor, deadline: number, source: string): Finding {
  if (waits === undefined || deadline + MARGIN <= waits) {
    return good('deadline', `the deadline of ${seconds(deadline)} (${source}) comes before that`);
  }
  return warning(
    'deadline',
    `the supervisor kills the program after ${seconds(waits)}, before the deadline of ${seconds(deadline)} (${source})`,
    `set --deadline ${Math.max(1, Math.floor((waits - MARGIN) / 1_000))}s or less, or ${setting} to ${Math.ceil((deadline + MARGIN) / 1_000)} s or more`,
  );
}

/** systemd.kill(5) */
export function judgeKillMode(mode: string | undefined): readonly Finding[] {
  if (mode === undefined) return [];
  if (mode !== 'control-group') return [good('kill-mode', `KillMode=${mode}`)];
  return [
    warning(
      'kill-mode',
      'KillMode=control-group: systemd sends SIGTERM to every process of the unit at once, also to workers and to the program of `lastcall run`',
      'set KillMode=mixed',
    ),
  ];
}

async function findSupervisor(pid: number, env: ReadonlyMap<string, string>): Promise<Supervisor | undefined> {
  const unit = unitOf(readText(`/proc/${pid}/cgroup`));
  const ofUnit = unit === undefined ? undefined : await readUnit(unit);
  if (ofUnit !== undefined) return ofUnit;
  if (env.has('KUBERNETES_SERVICE_HOST')) {
    return { name: 'Kubernetes', waits: 30_000, setting: 'terminationGracePeriodSeconds', isKnown: false };
  }
  if (env.has('pm_id')) return { name: 'pm2', waits: 1_600, setting: 'kill_timeout', isKnown: false };
  if (existsSync(`/proc/${pid}/root/.dockerenv`)) {
    return { name: 'Docker', waits: 10_000, setting: 'docker stop --time', isKnown: false };
  }
  return undefined;
}

/** The systemd service in the text of /proc/PID/cgroup; undefined if there is none. */
export function unitOf(cgroup: string): string | undefined {
  const [, unit] = /^0::\S*\/([\w@:.\\-]+\.service)(?:\/|$)/m.exec(cgroup) ?? [];
  return unit;
}

async function readUnit(unit: string): Promise<Supervisor | undefined> {
  try {
    const args = ['show', '--property=TimeoutStopUSec', '--property=KillMode', '--', unit];
    const { stdout } = await promisify(execFile)('systemctl', args, { timeout: SYSTEMCTL_LIMIT });
    return parseUnit(unit, stdout);
  } catch {
    return undefined;
  }
}

/** Parses the output of `systemctl show`. Undefined without a time. */
export function parseUnit(unit: string, shown: string): Supervisor | undefined {
  const property = (name: string): string | undefined => new RegExp(`^${name}=(.*)$`, 'm').exec(shown)?.[1];
  const time = property('TimeoutStopUSec');
  const waits = time === 'infinity' ? undefined : parseTimespan(time ?? '');
  if (time !== 'infinity' && waits === undefined) return undefined;
  const killMode = property('KillMode');
  return {
    name: `systemd (${unit})`,
    waits,
    setting: 'TimeoutStopSec',
    isKnown: true,
    ...(killMode === undefined || killMode === '' ? {} : { killMode }),
  };
}

// systemd.time(7), as systemctl prints time spans
const UNITS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Parses a time span such as `1min 30s` into ms; undefined for any other text. */
export function parseTimespan(text: string): number | undefined {
  if (!/^\d/.test(text)) return undefined;
  let sum = 0;
  for (const part of text.split(' ')) {
    const [, amount = '', unit = ''] = /^(\d{1,12}(?:\.\d+)?)([a-z]+)$/.exec(part) ?? [];
    const factor = UNITS[unit];
    if (factor === undefined) return undefined;
    sum += Number(amount) * factor;
  }
  return sum;
}

/** Empty if the file cannot be read. */
function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

function seconds(milliseconds: number): string {
  return `${Number((milliseconds / 1_000).toFixed(1))} s`;
}
