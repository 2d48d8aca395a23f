import { readFileSync } from 'node:fs';

/** The number that a kernel parameter is set to, such as `net.core.somaxconn`; undefined where it is none, or cannot be read. */
export function readSysctl(name: string): number | undefined {
  try {
    const text = readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'latin1').trim();
    return /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
  } catch {
    return undefined;
  }
}
