/** How much a finding matters: `problem` will lose clients or leave a stop undone, `warning` may, `note` is good to know. */
export type Level = 'good' | 'note' | 'warning' | 'problem';

/** Everything that is looked at; docs/cli.md says what each means and what to do. */
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

/** One thing that was looked at, what was seen, and what to do about it. */
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
