import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { livingThreadOf, programOf } from '../../linux/process/processes.ts';

// Enough to recognize a command by.
const LONGEST = 120;

/** A process's command line, for people. Its PID if it has none, or is gone. */
export function commandOf(pid: number): string {
  const text = commandLineOf(pid)?.join(' ') ?? '';
  return text === '' ? `process ${pid}` : text.slice(0, LONGEST);
}

/** The program's name and arguments of a process. Undefined once it is gone. */
export function commandLineOf(pid: number): readonly string[] | undefined {
  try {
    const parts = readFileSync(`/proc/${pid}/task/${livingThreadOf(pid)}/cmdline`, 'utf8').split('\0');
    // Text of another process must not control a terminal.
    return parts.map((part) => part.replace(/\p{Cc}+/gu, ' ').trim()).filter((part) => part !== '');
  } catch {
    return undefined;
  }
}

/** Whether a process runs Node. */
export function isNode(pid: number): boolean {
  return /^node(js)?(-?v?\d[\d.]*)?$/.test(basename(programOf(pid) ?? ''));
}
