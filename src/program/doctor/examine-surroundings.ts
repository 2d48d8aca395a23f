import { basename } from 'node:path';
import { readFileSync } from 'node:fs';
import { readStatus } from '../../linux/process/status.ts';
import { allProcesses } from '../../linux/process/processes.ts';
import { ancestorsOf } from '../find/process-tree.ts';
import { type Finding, good, note, problem, warning } from './finding.ts';

/** A process that stands above the program. */
export interface Above {
  readonly pid: number;
  /** Its arguments, the program's name first. */
  readonly line: readonly string[];
}

/** PID 1, and what stands between whoever sends the signal and the program; undefined `pid` for no program. */
export function examineSurroundings(pid: number | undefined): readonly Finding[] {
  const first = lineOf(1);
  const findings = first === undefined ? [] : [judgeFirst(first, readStatus(1)?.caught.has('SIGTERM') ?? true)];
  if (pid === undefined) return findings;
  const above = ancestorsOf(pid, allProcesses()).map((one): Above => ({ pid: one, line: lineOf(one) ?? [] }));
  return [...findings, ...judgeBetween(pid, above)];
}

const SHELLS = /^(sh|ash|bash|dash|zsh|ksh|busybox)$/;
const SCRIPT_RUNNERS = /^(npm|npx|yarn|pnpm|bun)\b/;
const INITS = /^(systemd|init|tini|dumb-init|docker-init|catatonit|s6-svscan|runit|lastcall)\b/;

/** What a container's, or the machine's, first process does with the signal. */
export function judgeFirst(line: readonly string[], catchesTerm: boolean): Finding {
  const name = nameOf(line);
  const shown = line.join(' ').slice(0, 60);
  if (isShell(line) && catchesTerm) {
    return note('pid-1', `PID 1 is a shell that traps SIGTERM (${shown}): what reaches the program is up to it`);
  }
  if (isShell(line)) {
    return problem(
      'pid-1',
      `PID 1 is a shell (${shown}): it does not hand SIGTERM on, and the program is killed when the time is up`,
      'start the program with exec, or write the Dockerfile\'s CMD as a JSON list: CMD ["node", "server.js"]',
    );
  }
  if (SCRIPT_RUNNERS.test(name)) {
    return warning(
      'pid-1',
      `PID 1 is ${name} (${shown}): it may end before the program does, which is killed with it`,
      'start the program itself: CMD ["node", "server.js"]',
    );
  }
  if (INITS.test(name) || catchesTerm) return good('pid-1', `PID 1 is ${shown}`);
  return note(
    'pid-1',
    `PID 1 (${shown}) does not catch SIGTERM: the kernel drops it for PID 1`,
    'in a container: run the program by `lastcall run`, or by an init (docker run --init)',
  );
}

/** `above` is nearest first. What stands above somebody else than a shell or a script runner is that one's business. */
export function judgeBetween(pid: number, above: readonly Above[]): readonly Finding[] {
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
      `process ${one} stands above ${pid} and is a shell (${shown}): a signal that it gets does not reach the program`,
      'exec in the last line of the script; or signal the program itself (`lastcall stop`)',
    );
  }
  if (!SCRIPT_RUNNERS.test(nameOf(line))) return undefined;
  return note(
    'between',
    `process ${one} stands above ${pid} and is ${nameOf(line)} (${shown}): LISTEN_PID and signals are meant for it`,
    'start the program itself: node server.js',
  );
}

/** A shell that runs a command or a script; one that waits for a person does not count. */
function isShell(line: readonly string[]): boolean {
  const [command = '', ...args] = line;
  return SHELLS.test(basename(command)) && args.some((arg) => /^-\w*c$/.test(arg) || !arg.startsWith('-'));
}

/** `npm start` names its process so; `node /usr/bin/npm start` is npm, too. */
function nameOf([command = '', script = '']: readonly string[]): string {
  const name = basename(command.split(' ', 1)[0] ?? '');
  return /^node(js)?$/.test(name) && SCRIPT_RUNNERS.test(basename(script)) ? basename(script) : name;
}

function lineOf(pid: number): readonly string[] | undefined {
  try {
    const parts = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return parts.map((part) => part.replace(/\p{Cc}+/gu, ' ').trim()).filter((part) => part !== '');
  } catch {
    return undefined;
  }
}
