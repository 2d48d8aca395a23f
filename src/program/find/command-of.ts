import { readFileSync } from 'node:fs';

// Enough to know it by.
const LONGEST = 120;

/** A process's command line, for people; its number where it has none, or has gone. */
export function commandOf(pid: number): string {
  try {
    // Another process's words: nothing of it may steer a terminal.
    const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      .replace(/\p{Cc}+/gu, ' ')
      .trim();
    return text === '' ? `process ${pid}` : text.slice(0, LONGEST);
  } catch {
    return `process ${pid}`;
  }
}
