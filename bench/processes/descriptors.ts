import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * Raises the limit of open descriptors, which children inherit, and returns what it is then. Above the hard limit that takes
 * CAP_SYS_RESOURCE; without it, or without prlimit(1), the limit stays. Node itself is at the hard limit from its start.
 */
export function raiseDescriptorLimit(wanted: number): number {
  if (descriptorLimit() < wanted) {
    spawnSync('prlimit', [`--pid=${process.pid}`, `--nofile=${wanted}:${wanted}`], { stdio: 'ignore' });
  }
  return descriptorLimit();
}

/** proc(5). */
function descriptorLimit(): number {
  const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
  return Number(soft);
}
