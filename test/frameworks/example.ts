import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Observed } from '../fixtures/frameworks/framework-observer.ts';
import { holdUp } from '../harness/held-process.ts';

const fixture = (name: string): string => new URL(`../fixtures/${name}.js`, import.meta.url).href;
const OBSERVED = ['--import', fixture('frameworks/framework-observer')];
const PLAIN = ['--import', fixture('frameworks/framework-plain')];

/** An example of examples/, started as a user would start it. */
export interface RunningExample {
  readonly port: number;
  /** Resolves when the program tells this the next time; rejects if it ends before. */
  hears<K extends keyof Observed>(what: K): Promise<Observed[K]>;
  /** SIGTERM. */
  stop(): void;
  /** Holds the program up: the kernel goes on to take in clients, the program does not see them. */
  holdUp(): Promise<void>;
  goOn(): void;
  /** With what the program ended: its exit code, or the signal. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

/** Starts examples/<name>/server.js; `plain` is the control: the same code, with the close that it has without lastcall. */
export async function startExample(t: TestContext, name: string, how: 'graceful' | 'plain'): Promise<RunningExample> {
  const child = fork(fileURLToPath(new URL(`../../../examples/${name}/server.js`, import.meta.url)), [], {
    execArgv: how === 'plain' ? [...OBSERVED, ...PLAIN] : OBSERVED,
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  t.after(() => child.kill('SIGKILL'));
  const hears = <K extends keyof Observed>(what: K): Promise<Observed[K]> => hearFrom(child, what);
  const port = await hears('port');
  return {
    port,
    hears,
    stop: () => void child.kill('SIGTERM'),
    holdUp: () => holdUp(child.pid!),
    goOn: () => void child.kill('SIGCONT'),
    ended: once(child, 'exit').then(([code, signal]) => code ?? signal),
  };
}

function hearFrom<K extends keyof Observed>(child: ChildProcess, what: K): Promise<Observed[K]> {
  return new Promise((resolve, reject) => {
    const onEnd = (): void => reject(new Error(`the program has ended without a word about its ${what}`));
    const onMessage = (message: Partial<Observed>): void => {
      const told = message[what];
      if (told === undefined) return;
      child.off('message', onMessage).off('disconnect', onEnd);
      resolve(told);
    };
    child.on('message', onMessage).once('disconnect', onEnd);
  });
}
