import { runStorm, type Storm } from '../../src/storm/storm.ts';
import { CONTENDERS, type Contender, TITLES } from '../processes/contenders.ts';
import type { Run } from '../run.ts';
import { ServerProcess } from '../processes/server-process.ts';
import { type Spread, spreadOf } from '../report/statistics.ts';

const WARM_UP = 1_000;

/** What a queue of one size came to; times are microseconds for each queued connection. */
export interface QueueFigures {
  readonly title: string;
  readonly queued: number;
  readonly lost: Spread;
  /** From the call, or the first turn of the loop, until all were served or gone. */
  readonly time: Spread;
  /** CPU time of the server's process. */
  readonly cpu: Spread;
}

interface OneQueue {
  readonly lost: number;
  readonly time: number;
  readonly cpu: number;
}

/** `serve` is no stop: what it costs to serve the same queue and go on. */
type Case = Contender | 'serve';

const CASES: readonly Case[] = ['serve', ...CONTENDERS];

/** Stops servers whose loop was blocked until so many clients had queued. */
export async function measureQueues(run: Run): Promise<readonly QueueFigures[]> {
  const figures: QueueFigures[] = [];
  for (const queued of run.queueSizes) {
    const results = new Map(CASES.map((one) => [one, new Array<OneQueue>()]));
    for (let round = 1; round <= run.queues; round++) {
      run.progress(`${queued} queued connections: round ${round} of ${run.queues}`);
      for (const [one, list] of results) list.push(await queueOnce(one, queued, run.signal));
    }
    for (const [one, list] of results) {
      figures.push({
        title: one === 'serve' ? 'no stop: serving the queue' : TITLES[one],
        queued,
        lost: spreadOf(list.map(({ lost }) => lost)),
        time: spreadOf(list.map(({ time }) => (time * 1_000) / queued)),
        cpu: spreadOf(list.map(({ cpu }) => (cpu * 1_000) / queued)),
      });
    }
  }
  return figures;
}

async function queueOnce(one: Case, queued: number, signal: AbortSignal): Promise<OneQueue> {
  const server = await ServerProcess.start(one === 'serve' ? 'close' : one, signal);
  await connect(server, 50, WARM_UP, signal).finished;

  server.order(one === 'serve' ? 'queue and serve' : 'queue and stop', queued);
  const storm = connect(server, queued, queued, signal);
  await server.queued(queued);
  server.soundGong();
  const { done, cpu } = await server.answer(one === 'serve' ? 'served' : 'stopped');
  const { lost } = await storm.finished;
  await server.end();
  return { lost, time: done, cpu };
}

function connect(server: ServerProcess, clients: number, requests: number, signal: AbortSignal): Storm {
  const target = { host: '127.0.0.1', port: server.port };
  return runStorm({ target, clients, requests, duration: 30_000, timeout: 30_000, signal });
}
