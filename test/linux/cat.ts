import { once } from 'node:events';
import { startCommand, type TestProcess } from '../harness/processes.ts';

/** A process that runs until its input ends, perhaps with one more descriptor of ours. */
export async function startCat(inherited?: number, program = '/bin/cat'): Promise<TestProcess> {
  const stdio = ['pipe', 'ignore', 'ignore', ...(inherited === undefined ? [] : [inherited])] as const;
  const cat = startCommand([program], { stdio: [...stdio] });
  await once(cat.child, 'spawn');
  return cat;
}
