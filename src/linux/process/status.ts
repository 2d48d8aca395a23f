import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { isSignal } from '../signals.ts';

/** What every user can read about a process in /proc/PID/status (proc_pid_status(5)). */
export interface ProcessStatus {
  /** Its PID in its own PID namespace: 1 for the first process of a container. */
  readonly innerPid: number;
  /** Bits, by linux/capability.h. */
  readonly capabilities: bigint;
  /** Signals with a handler, and blocked ones: programs that wait for a signal block it (signalfd(2), sigwait(3)). */
  readonly caught: ReadonlySet<NodeJS.Signals>;
  readonly ignored: ReadonlySet<NodeJS.Signals>;
  /** 0 none, 1 strict, 2 a filter. */
  readonly seccomp: number;
}

/** The capabilities that a close or a stop can use, with their bits (linux/capability.h). */
export const CAPABILITIES = {
  CAP_KILL: 5n,
  CAP_NET_ADMIN: 12n,
  CAP_NET_RAW: 13n,
  CAP_SYS_PTRACE: 19n,
} as const;

export type Capability = keyof typeof CAPABILITIES;

/** Undefined once the process is gone. */
export function readStatus(pid: number | 'self'): ProcessStatus | undefined {
  try {
    return parseStatus(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return undefined;
  }
}

/** Parses the text of /proc/PID/status. A missing field counts as empty. */
export function parseStatus(text: string): ProcessStatus {
  const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '';
  const mask = (name: string): bigint => (/^[0-9a-f]{1,32}$/.test(field(name)) ? BigInt(`0x${field(name)}`) : 0n);
  return {
    innerPid: Number(field('NSpid').split(/\s+/).at(-1) ?? '') || Number(field('Pid')),
    capabilities: mask('CapEff'),
    caught: signalsOf(mask('SigCgt') | mask('SigBlk')),
    ignored: signalsOf(mask('SigIgn')),
    seccomp: Number(field('Seccomp')) || 0,
  };
}

export function has({ capabilities }: ProcessStatus, name: Capability): boolean {
  return ((capabilities >> CAPABILITIES[name]) & 1n) === 1n;
}

function signalsOf(mask: bigint): ReadonlySet<NodeJS.Signals> {
  const found = new Set<NodeJS.Signals>();
  for (const [name, number] of Object.entries(constants.signals)) {
    if (isSignal(name) && ((mask >> BigInt(number - 1)) & 1n) === 1n) found.add(name);
  }
  return found;
}
