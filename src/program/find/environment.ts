import { livingThreadOf } from '../../linux/process/processes.ts';
import { readFileSync } from 'node:fs';

/** The environment that a process was started with. Empty if it cannot be read. */
export function environmentOf(pid: number): ReadonlyMap<string, string> {
  try {
    return parseEnvironment(readFileSync(`/proc/${pid}/task/${livingThreadOf(pid)}/environ`, 'latin1'));
  } catch {
    return new Map();
  }
}

/** Parses the text of /proc/PID/environ. */
export function parseEnvironment(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split('\0').map((line): [string, string] => {
      const [name = ''] = line.split('=', 1);
      return [name, line.slice(name.length + 1)];
    }),
  );
}
