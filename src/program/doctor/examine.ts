import { loadLibc } from '../../linux/libc.ts';
import { examineDeadline } from './examine-deadline.ts';
import { examineGates } from './examine-gates.ts';
import { examineHost } from './examine-host.ts';
import { describeProgram, examineProgram } from './examine-program.ts';
import { examineQueues } from './examine-queues.ts';
import { examineReach } from './examine-reach.ts';
import { examineSurroundings } from './examine-surroundings.ts';
import type { Finding } from './finding.ts';

/** What to examine, beside the machine. */
export interface ExamineOptions {
  /** The topmost processes of the program; none to examine only the machine. */
  readonly pids: readonly number[];
  /** The signal that stops the program. */
  readonly signal: NodeJS.Signals;
  /** The deadline of the stop, in ms; undefined for the program's own, or the default. */
  readonly deadline: number | undefined;
}

/** Findings on one subject. */
export interface Chapter {
  readonly title: string;
  readonly findings: readonly Finding[];
}

/**
 * Checks everything that decides whether a stop loses clients here. Tries what it can on sockets and a child of its own, and
 * changes nothing of the program.
 */
export async function examine({ pids, signal, deadline }: ExamineOptions): Promise<readonly Chapter[]> {
  const machine = [
    { title: 'this machine', findings: examineHost() },
    { title: 'gates', findings: await examineGates() },
    { title: 'reaching other programs', findings: await examineReach() },
    { title: 'queues', findings: examineQueues() },
  ];
  if (pids.length === 0) return [...machine, { title: 'surroundings', findings: examineSurroundings(undefined) }];
  const programs: Chapter[] = [];
  for (const pid of pids) {
    programs.push({
      title: `program ${pid}`,
      findings: [
        describeProgram(pid),
        ...(loadLibc().available ? examineProgram(pid, signal) : []),
        ...examineSurroundings(pid),
        ...(await examineDeadline(pid, deadline)),
      ],
    });
  }
  return [...machine.filter(({ findings }) => findings.length > 0), ...programs];
}
