import { readFileSync } from 'node:fs';

/** Reads a kernel parameter that is a number, such as `net.core.somaxconn`; undefined if it cannot be read. */
export function readSysctl(name: string): number | undefined {
  try {
    const text = readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'latin1').trim();
    return /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
  } catch {
    return undefined;
  }
}
