/** The weight of a finding. `problem`: clients will be lost, or a stop will fail. `warning`: they may. `note`: for information. */
export type Level = 'good' | 'note' | 'warning' | 'problem';

/** Every check; docs/cli.md has what each one means, and what to do. */
export const FINDING_IDS = [
  'kernel',
  'ffi',
  'capabilities',
  'gate-refuse',
  'gate-unix',
  'gate-hold',
  'gate-reopen',
  'yama',
  'pidfd-getfd',
  'sock-diag',
  'syncookies',
  'abort-on-overflow',
  'somaxconn',
  'pid-1',
  'program',
  'signal-right',
  'signal-handler',
  'between',
  'listeners',
  'listener',
  'backlog',
  'drops',
  'reuseport',
  'supervisor',
  'deadline',
  'kill-mode',
] as const;

export type FindingId = (typeof FINDING_IDS)[number];

/** The result of one check, and what to do about it. */
export interface Finding {
  readonly id: FindingId;
  readonly level: Level;
  readonly says: string;
  readonly todo?: string;
}

export function good(id: FindingId, says: string): Finding {
  return { id, level: 'good', says };
}

export function note(id: FindingId, says: string, todo?: string): Finding {
  return { id, level: 'note', says, ...(todo === undefined ? {} : { todo }) };
}

export function warning(id: FindingId, says: string, todo: string): Finding {
  return { id, level: 'warning', says, todo };
}

export function problem(id: FindingId, says: string, todo: string): Finding {
  return { id, level: 'problem', says, todo };
}
