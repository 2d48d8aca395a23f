import { startCommand, type TestProcess } from '../harness/processes.ts';
import { BODY, CONCURRENCY, type LoadClient } from './load-client.ts';

const EACH = 20;
// A line for each transfer: the status, and what curl has to complain about.
const COMMON = ['--silent', '--output', '/dev/null', '--max-time', '20', '--write-out', '%{http_code}:%{errormsg}\\n'];

/** curl after curl: each asks ten times and posts ten times on one connection. */
export const curl: LoadClient = {
  names: ['curl'],
  start: (origin) => {
    const running = new Set<TestProcess>();
    const lines: string[] = [];
    const over = new AbortController();
    const askOnAndOn = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const urls = `${origin}/curl?[1-${EACH / 2}]`;
        const child = startCommand(['curl', ...COMMON, urls, '--next', ...COMMON, '--data-binary', BODY, urls]);
        running.add(child);
        const { stdout } = await child.ended;
        running.delete(child);
        lines.push(...stdout.trimEnd().split('\n'));
      }
    };
    const finished = Promise.all(Array.from({ length: CONCURRENCY }, askOnAndOn)).then(() => {
      return { curl: { requests: lines.length, errors: lines.filter((line) => line !== '200:') } };
    });
    return {
      stop: () => over.abort(),
      finished,
      [Symbol.asyncDispose]: async () => {
        over.abort();
        await Promise.all([...running].map((child) => child[Symbol.asyncDispose]()));
      },
    };
  },
};
