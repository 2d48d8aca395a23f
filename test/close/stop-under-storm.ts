import type { ChildProcess } from 'node:child_process';
import { on } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { CloseOptions, CloseReport } from '../../src/index.ts';
import type { StormOptions } from '../../src/storm/options.ts';
import type { StormResult } from '../../src/storm/storm.ts';

/** The two programs of a stop, for fork. */
export const stormServer: string = fileURLToPath(new URL('../fixtures/storm-server.js', import.meta.url));
export const stormRunner: string = fileURLToPath(new URL('../fixtures/storm-runner.js', import.meta.url));

/** A few of each in `npm test`, three unless one is enough because many others are like it; all in `npm run test:full`. */
export function stops(full: number, few = 3): number {
  return process.env.LASTCALL_FULL === '1' ? full : few;
}

/** One stop of a server under a storm of clients. */
export interface StopUnderStorm {
  readonly how: 'graceful' | 'plain';
  readonly server: ChildProcess;
  readonly client: ChildProcess;
  readonly host: string;
  readonly clients: number;
  readonly options?: CloseOptions;
}

/** What came of it; a plain close has no report. */
export interface StoppedUnderStorm {
  readonly result: StormResult;
  readonly report: CloseReport | undefined;
}

/** Starts the storm, stops the server once the queue has settled, and waits for the end of both. */
export async function stopUnderStorm(stop: StopUnderStorm): Promise<StoppedUnderStorm> {
  const server = messagesOf(stop.server);
  const client = messagesOf(stop.client);
  const { port } = await server.next<{ port: number }>('port');
  const options: StormOptions = {
    target: { host: stop.host, port },
    clients: stop.clients,
    timeout: 30_000,
    duration: 40_000,
  };
  stop.client.send({ options, tellAfter: Math.max(600, stop.clients) });
  const { enough } = await client.next<{ enough: boolean }>('enough');
  if (!enough) throw new Error('the storm ended before the stop');
  stop.server.send({ how: stop.how, options: stop.options });
  const report = stop.how === 'plain' ? undefined : (await server.next<{ report: CloseReport }>('report')).report;
  return { result: (await client.next<{ result: StormResult }>('result')).result, report };
}

/** What a child process tells, in order. */
export interface Messages {
  /** The next message that has this key; those before it are passed over. */
  next<T extends object>(key: keyof T & string): Promise<T>;
}

/** Listens to a child from now on. */
export function messagesOf(child: ChildProcess): Messages {
  const ended = new AbortController();
  const messages = on(child, 'message', { signal: ended.signal });
  // Messages that came with the end are handed on first.
  child.once('disconnect', () => setImmediate(() => ended.abort(new Error('the process is gone'))));
  const next = async <T extends object>(key: keyof T & string): Promise<T> => {
    const { value } = await messages.next();
    const [message] = value;
    return typeof message === 'object' && message !== null && key in message ? message : next<T>(key);
  };
  return { next };
}
