import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';

/** A process that lives until its input ends, perhaps with one more descriptor of ours. */
export async function startCat(t: TestContext, inherited?: number, program = 'cat'): Promise<ChildProcess> {
  const stdio: StdioOptions = ['pipe', 'ignore', 'ignore', ...(inherited === undefined ? [] : [inherited])];
  const child = spawn(program, { stdio });
  t.after(async () => {
    if (child.kill()) await once(child, 'exit');
  });
  await once(child, 'spawn');
  return child;
}
