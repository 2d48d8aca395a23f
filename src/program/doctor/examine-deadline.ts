import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { readDuration } from '../../durations.ts';
import { type Finding, good, note, warning } from './finding.ts';

/** Who sends the program its signal, and how long it waits before SIGKILL. */
export interface Supervisor {
  readonly name: string;
  /** In milliseconds; undefined if for ever. */
  readonly waits: number | undefined;
  /** Where the time is set, and whether it was read there or is the default. */
  readonly setting: string;
  readonly isKnown: boolean;
  /** Of systemd. */
  readonly killMode?: string;
}

// As in `lastcall run` and `lastcall stop`.
const USUAL_DEADLINE = 30_000;
// What is left to report, and for the kernel to take the process down.
const MARGIN = 1_000;
const SYSTEMCTL_LIMIT = 2_000;

/** Whether a stop has ended before the supervisor's patience. `given` is the deadline that was asked about, in milliseconds. */
export async function examineDeadline(pid: number, given: number | undefined): Promise<readonly Finding[]> {
  const env = environmentOf(pid);
  const supervisor = await findSupervisor(pid, env);
  const own = readDuration(env.get('LASTCALL_DEADLINE') ?? '');
  const deadline = given ?? own ?? USUAL_DEADLINE;
  const source =
    given !== undefined ? 'as asked' : own !== undefined ? 'LASTCALL_DEADLINE' : 'the default of lastcall run and stop';
  if (supervisor === undefined) {
    return [note('supervisor', 'who stops it, and how long that waits, is not known: no systemd unit, no container')];
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
    return good('deadline', `the deadline of ${seconds(deadline)} (${source}) is over before`);
  }
  return warning(
    'deadline',
    `the deadline of ${seconds(deadline)} (${source}) is not over when the program is killed, after ${seconds(waits)}`,
    `--deadline ${Math.max(1, Math.floor((waits - MARGIN) / 1_000))}s or less, or ${setting} of ${Math.ceil((deadline + MARGIN) / 1_000)} s or more`,
  );
}

/** systemd.kill(5) */
export function judgeKillMode(mode: string | undefined): readonly Finding[] {
  if (mode === undefined) return [];
  if (mode !== 'control-group') return [good('kill-mode', `KillMode=${mode}`)];
  return [
    warning(
      'kill-mode',
      'KillMode=control-group: systemd sends SIGTERM to every process of the unit at once, workers and the program of `lastcall run` too',
      'KillMode=mixed',
    ),
  ];
}

async function findSupervisor(pid: number, env: ReadonlyMap<string, string>): Promise<Supervisor | undefined> {
  const unit = unitOf(readText(`/proc/${pid}/cgroup`));
  const ofUnit = unit === undefined ? undefined : await askSystemd(unit);
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

/** The service of systemd that a process belongs to, by its control group; undefined for none. */
export function unitOf(cgroup: string): string | undefined {
  const [, unit] = /^0::\S*\/([\w@:.\\-]+\.service)(?:\/|$)/m.exec(cgroup) ?? [];
  return unit;
}

async function askSystemd(unit: string): Promise<Supervisor | undefined> {
  try {
    const args = ['show', '--property=TimeoutStopUSec', '--property=KillMode', '--', unit];
    const { stdout } = await promisify(execFile)('systemctl', args, { timeout: SYSTEMCTL_LIMIT });
    return parseUnit(unit, stdout);
  } catch {
    return undefined;
  }
}

/** What `systemctl show` says; undefined where it does not say how long. */
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

/** Milliseconds of `1min 30s`; undefined for what is none. */
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

function environmentOf(pid: number): ReadonlyMap<string, string> {
  return new Map(
    readText(`/proc/${pid}/environ`)
      .split('\0')
      .map((line): [string, string] => {
        const at = line.indexOf('=');
        return at === -1 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
      }),
  );
}

/** Empty where it may not be read. */
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
