import { runStorm } from '../../src/storm/storm.ts';
import { CONTENDERS, type Contender, TITLES } from '../processes/contenders.ts';
import type { Run } from '../run.ts';
import { ServerProcess } from '../processes/server-process.ts';
import { type Spread, spreadOf } from '../report/statistics.ts';

/** The storm that a stop happens in: a new connection for each request. */
export const STORM_CLIENTS = 300;
const SERVED_BEFORE = 3_000;

/** What stopping under a storm came to; times in milliseconds from the call on. */
export interface StopFigures {
  readonly title: string;
  readonly contender: Contender;
  readonly lost: Spread;
  /** Until no new connection could get in. */
  readonly gate: Spread;
  /** From the order to the process's exit. */
  readonly exit: Spread;
}

interface OneStop {
  readonly lost: number;
  readonly gate: number;
  readonly exit: number;
}

interface Case {
  readonly title: string;
  readonly contender: Contender;
  readonly program: 'server' | 'launcher';
}

const CASES: readonly Case[] = [
  ...CONTENDERS.map((contender): Case => ({ title: TITLES[contender], contender, program: 'server' })),
  { title: 'lastcall, in a child with a message channel', contender: 'lastcall', program: 'launcher' },
];

/** Stops every contender in turn, and that again and again, so that a slow spell of the machine meets all alike. */
export async function measureStops(run: Run): Promise<readonly StopFigures[]> {
  const stops = new Map(CASES.map((one) => [one, new Array<OneStop>()]));
  for (let round = 1; round <= run.stops; round++) {
    for (const [one, results] of stops) {
      run.progress(`stops under a storm: round ${round} of ${run.stops}, ${one.title}`);
      results.push(await stopOnce(one, run.signal));
    }
  }
  return [...stops].map(([{ title, contender }, results]) => ({
    title,
    contender,
    lost: spreadOf(results.map(({ lost }) => lost)),
    gate: spreadOf(results.map(({ gate }) => gate)),
    exit: spreadOf(results.map(({ exit }) => exit)),
  }));
}

async function stopOnce({ contender, program }: Case, signal: AbortSignal): Promise<OneStop> {
  const server = await ServerProcess.start(contender, signal, { program });
  const storm = runStorm({
    target: { host: '127.0.0.1', port: server.port },
    clients: STORM_CLIENTS,
    duration: 20_000,
    timeout: 5_000,
    signal,
  });
  await storm.served(SERVED_BEFORE);

  const began = performance.now();
  const exited = server.exit().then(() => performance.now() - began);
  const { gate } = await server.ask('stop', 'stopped');
  const exit = await exited;
  const { lost, counts, errors } = await storm.finished;
  if (counts.failed > 0) throw new Error(`The storm itself failed: ${errors.failed?.join(', ')}`);
  return { lost, gate, exit };
}
