import { loadLibc } from '../../linux/libc.ts';
import { describeProgram, examineProgram } from './examine-program.ts';
import { examineDeadline } from './examine-deadline.ts';
import { examineGates } from './examine-gates.ts';
import { examineHost } from './examine-host.ts';
import { examineQueues } from './examine-queues.ts';
import { examineReach } from './examine-reach.ts';
import { examineSurroundings } from './examine-surroundings.ts';
import type { Finding } from './finding.ts';

/** What is looked at, beside the machine. */
export interface ExamineOptions {
  /** The program's processes, topmost each; none to look at the machine alone. */
  readonly pids: readonly number[];
  /** What the program is stopped by. */
  readonly signal: NodeJS.Signals;
  /** In milliseconds; undefined to take the program's own, or the default. */
  readonly deadline: number | undefined;
}

/** Findings that belong together. */
export interface Chapter {
  readonly title: string;
  readonly findings: readonly Finding[];
}

/**
 * Looks at all that decides whether a stop loses nobody here. Tries what can be tried, on sockets and a child of its own; of the
 * program nothing is changed.
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
