import { availableParallelism } from 'node:os';
import { bindFunction, check } from '../../src/linux/libc.ts';

// cpu_set_t of glibc and musl, sched.h: a bit for each of 1,024 processors.
const CPU_SET_SIZE = 128;
const THIS_THREAD = 0;

/** Whether servers and clients can each have processors of their own. */
const canSplitProcessors = availableParallelism() > 1;

/** Runs what `start` starts on the first processor alone, and this thread on the others from then on. */
export async function startOnFirstProcessor<T>(start: () => Promise<T>): Promise<T> {
  if (!canSplitProcessors) return start();
  runOn((processor) => processor === 0);
  try {
    return await start();
  } finally {
    runOn((processor) => processor > 0);
  }
}

/** Lets this thread run anywhere again. */
export function runAnywhere(): void {
  if (canSplitProcessors) runOn(() => true);
}

/** sched_setaffinity(2); children inherit it. The kernel leaves out processors that are not there. */
function runOn(isAllowed: (processor: number) => boolean): void {
  const mask = Buffer.alloc(CPU_SET_SIZE);
  for (let processor = 0; processor < CPU_SET_SIZE * 8; processor++) {
    const bit = isAllowed(processor) ? 1 << (processor % 8) : 0;
    mask.writeUInt8(mask.readUInt8(processor >> 3) | bit, processor >> 3);
  }
  const setAffinity = bindFunction('int sched_setaffinity(int pid, size_t size, void *mask)');
  check('sched_setaffinity', setAffinity(THIS_THREAD, mask.length, mask));
}
