import { readdirSync, readFileSync } from 'node:fs';

/** Holds a process up: the kernel goes on to take in clients, the program does not see them. SIGCONT lets it go on. */
export async function holdUp(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  while (!threadsOf(pid).every((state) => state === 'T')) await new Promise((resolve) => setImmediate(resolve));
}

/** The letter that the kernel gives each thread's state; the name before it, in parentheses, may contain anything. */
function threadsOf(pid: number): readonly (string | undefined)[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.map((id) => /\) (\w) [^)]*$/.exec(readFileSync(`/proc/${pid}/task/${id}/stat`, 'utf8'))?.[1]);
}
