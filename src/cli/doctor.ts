import { styleText } from 'node:util';
import type { Command } from 'commander';
import { type Chapter, examine } from '../program/doctor/examine.ts';
import type { Finding, Level } from '../program/doctor/finding.ts';
import { findHolders } from '../program/find/find-target.ts';
import { TARGET_FORMS } from '../program/find/target.ts';
import { durationOption, signalName } from './option-values.ts';
import { counted } from '../counted.ts';
import { mayColour } from './terminal/text.ts';

interface DoctorCommandOptions {
  readonly signal: NodeJS.Signals;
  readonly deadline?: number;
  readonly json?: boolean;
}

/** Adds `lastcall doctor`. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .summary('show what works here, and why')
    .description(
      'Checks the kernel, the rights of this user, and the gates, which it tries on sockets of its own. With a target it also ' +
        'checks the listeners of that program, its signal handler and its supervisor. Changes nothing.\nExit code: 0; 1 if there ' +
        'is a problem; 2 if there is no such program; 77 if this user cannot see its processes.',
    )
    .argument('[target]', TARGET_FORMS)
    .option('--signal <name>', 'the signal that stops the program', signalName, 'SIGTERM')
    .addOption(
      durationOption('--deadline', 'the deadline of the stop; without it LASTCALL_DEADLINE of the program, or 30s'),
    )
    .option('--json', 'print the findings as one JSON document')
    .action(doctor);
}

async function doctor(target: string | undefined, { signal, deadline, json }: DoctorCommandOptions): Promise<void> {
  const pids = target === undefined ? [] : findHolders(target);
  const chapters = await examine({ pids, signal, deadline });
  const findings = chapters.flatMap((chapter) => chapter.findings);
  process.stdout.write(json ? `${JSON.stringify({ findings }, null, 2)}\n` : `${describe(chapters, findings)}\n`);
  process.exitCode = findings.some(({ level }) => level === 'problem') ? 1 : 0;
}

const MARKS: Readonly<Record<Level, string>> = { good: 'ok', note: 'note', warning: 'WARNING', problem: 'PROBLEM' };
const COLOURS = { good: 'green', note: 'blue', warning: 'yellow', problem: 'red' } as const;

function describe(chapters: readonly Chapter[], findings: readonly Finding[]): string {
  const lines = chapters.flatMap(({ title, findings: some }) => [`${title}:`, ...some.flatMap(findingLines), '']);
  const count = (level: Level): number => findings.filter((finding) => finding.level === level).length;
  return [...lines, `${counted(count('problem'), 'problem')}, ${counted(count('warning'), 'warning')}`].join('\n');
}

function findingLines({ id, level, says, todo }: Finding): readonly string[] {
  const mark = MARKS[level].padEnd(7);
  const shown = mayColour() ? styleText(COLOURS[level], mark) : mark;
  const line = `  ${shown}  ${id}: ${says}`;
  return todo === undefined ? [line] : [line, `${' '.repeat(11)}-> ${todo}`];
}
