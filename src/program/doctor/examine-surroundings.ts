import { basename } from 'node:path';
import { allProcesses } from '../../linux/process/processes.ts';
import { readStatus } from '../../linux/process/status.ts';
import { commandLineOf } from '../find/command-line.ts';
import { ancestorsOf } from '../find/process-tree.ts';
import { type Finding, good, note, problem, warning } from './finding.ts';

/** An ancestor of the program. */
export interface Ancestor {
  readonly pid: number;
  /** Its arguments, the program's name first. */
  readonly line: readonly string[];
}

/** Examines PID 1, and the ancestors of a program: a signal may not get past them. Without `pid` only PID 1. */
export function examineSurroundings(pid: number | undefined): readonly Finding[] {
  const first = commandLineOf(1);
  const findings = first === undefined ? [] : [judgeFirst(first, readStatus(1)?.caught.has('SIGTERM') ?? true)];
  if (pid === undefined) return findings;
  const above = ancestorsOf(pid, allProcesses()).map((one): Ancestor => ({ pid: one, line: commandLineOf(one) ?? [] }));
  return [...findings, ...judgeBetween(pid, above)];
}

const SHELLS = /^(sh|ash|bash|dash|zsh|ksh|busybox)$/;
const SCRIPT_RUNNERS = /^(npm|npx|yarn|pnpm|bun)\b/;
const INITS = /^(systemd|init|tini|dumb-init|docker-init|catatonit|s6-svscan|runit|lastcall)\b/;

/** Judges what the first process of a container or machine does with the signal. */
export function judgeFirst(line: readonly string[], catchesTerm: boolean): Finding {
  const name = programOf(line);
  const shown = line.join(' ').slice(0, 60);
  if (isShell(line) && catchesTerm) {
    return note(
      'pid-1',
      `PID 1 is a shell that traps SIGTERM (${shown}): the script decides which signal the program gets`,
    );
  }
  if (isShell(line)) {
    return problem(
      'pid-1',
      `PID 1 is a shell (${shown}): it does not forward SIGTERM, and the program is killed in the end`,
      'start the program with exec, or write the Dockerfile\'s CMD as a JSON list: CMD ["node", "server.js"]',
    );
  }
  if (SCRIPT_RUNNERS.test(name)) {
    return warning(
      'pid-1',
      `PID 1 is ${name} (${shown}): it may end before the program, which is killed with it`,
      'start the program itself: CMD ["node", "server.js"]',
    );
  }
  if (INITS.test(name) || catchesTerm) return good('pid-1', `PID 1 is ${shown}`);
  return note(
    'pid-1',
    `PID 1 (${shown}) does not catch SIGTERM: the kernel drops it for PID 1`,
    'in a container run the program below `lastcall run`, or below an init (docker run --init)',
  );
}

/** Judges the ancestors, nearest first, up to the first one that is neither a shell nor a script runner. */
export function judgeBetween(pid: number, above: readonly Ancestor[]): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { pid: one, line } of above) {
    const finding = one === 1 ? undefined : judgeOneBetween(pid, one, line);
    if (finding === undefined) break;
    findings.push(finding);
  }
  return findings;
}

function judgeOneBetween(pid: number, one: number, line: readonly string[]): Finding | undefined {
  const shown = line.join(' ').slice(0, 60);
  if (isShell(line)) {
    return warning(
      'between',
      `process ${one}, a shell (${shown}), is an ancestor of ${pid}: it does not forward signals to the program`,
      'use exec in the last line of the script, or signal the program itself (`lastcall stop`)',
    );
  }
  if (!SCRIPT_RUNNERS.test(programOf(line))) return undefined;
  return note(
    'between',
    `process ${one}, ${programOf(line)} (${shown}), is an ancestor of ${pid}: LISTEN_PID and signals go to it`,
    'start the program itself: node server.js',
  );
}

/** Whether it is a shell that runs a command or a script. An interactive shell does not count. */
function isShell(line: readonly string[]): boolean {
  const [command = '', ...args] = line;
  return SHELLS.test(basename(command)) && args.some((arg) => /^-\w*c$/.test(arg) || !arg.startsWith('-'));
}

/** npm names its process `npm start`; `node /usr/bin/npm start` is npm, too. */
function programOf([command = '', script = '']: readonly string[]): string {
  const name = basename(command.split(' ', 1)[0] ?? '');
  return /^node(js)?$/.test(name) && SCRIPT_RUNNERS.test(basename(script)) ? basename(script) : name;
}
