import { bindFunction, check } from '../../src/linux/libc.ts';

// sys/resource.h; struct rusage begins with ru_utime and ru_stime, each a struct timeval of two longs.
const RUSAGE_CHILDREN = -1;
const RUSAGE_SIZE = 144;
const TIMEVALS = [0, 16];

let getUsage: ReturnType<typeof bindFunction> | undefined;

/**
 * Milliseconds of CPU time, user and system, of all children that have ended: getrusage(2). So the end of a process is
 * counted, too, which it cannot see itself.
 */
export function cpuOfEndedChildren(): number {
  getUsage ??= bindFunction('int getrusage(int who, void *usage)');
  const usage = Buffer.alloc(RUSAGE_SIZE);
  check('getrusage', getUsage(RUSAGE_CHILDREN, usage));
  return TIMEVALS.reduce(
    (sum, at) => sum + Number(usage.readBigInt64LE(at)) * 1_000 + Number(usage.readBigInt64LE(at + 8)) / 1_000,
    0,
  );
}
