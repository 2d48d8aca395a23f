import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { CONCURRENCY, type LoadClient } from './load-client.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/proxies/proxy-client.js', import.meta.url));

/** The HTTP clients that programs on Node use, in a process of their own. */
export const libraries: LoadClient = {
  names: ['undici', 'axios', 'got', 'fetch'],
  start: (origin) => {
    const child = fork(PROGRAM, [origin, `${CONCURRENCY}`]);
    const died = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`the clients have ended with ${code ?? signal}`);
    });
    return {
      stop: () => void child.send('stop'),
      kill: () => void child.kill('SIGKILL'),
      finished: Promise.race([once(child, 'message').then(([results]) => results), died]),
    };
  },
};
