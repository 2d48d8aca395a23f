import { cpuOfEndedChildren } from '../processes/children-cpu.ts';
import { ClientProcess } from '../processes/client-process.ts';
import { CONTENDERS, type Contender, TITLES } from '../processes/contenders.ts';
import { raiseDescriptorLimit } from '../processes/descriptors.ts';
import type { Run } from '../run.ts';
import { ServerProcess } from '../processes/server-process.ts';
import { type Spread, spreadOf } from '../report/statistics.ts';

/** lastcall's default `idleWait`, and a little: it is met by every connection when the stop begins. */
const QUIET = 2_100;
/** Descriptors that a process has besides its connections, with room to spare. */
const SPARE = 1_000;

/** What stopping a server with nothing but idle kept connections came to; times in milliseconds from the order on. */
export interface IdleFigures {
  readonly contender: Contender;
  readonly title: string;
  readonly connections: number;
  /** What was asked for, where the limit of open descriptors does not allow so many. */
  readonly wanted: number;
  readonly reset: Spread;
  /** Until the contender said that it was done. */
  readonly done: Spread;
  /** Until the process had gone. */
  readonly exit: Spread;
  /** `exit` against that of the plain close in the same round. */
  readonly ratio: Spread;
  /** CPU time of the process, its end included. */
  readonly cpu: Spread;
}

interface OneStop {
  readonly reset: number;
  readonly done: number;
  readonly exit: number;
  readonly cpu: number;
}

/** Stops every contender in turn, and that again and again, for each number of connections. */
export async function measureIdle(run: Run): Promise<readonly IdleFigures[]> {
  const figures: IdleFigures[] = [];
  for (const { wanted, rounds } of run.idle) {
    const limit = raiseDescriptorLimit(wanted + SPARE);
    const connections = Math.min(wanted, limit - SPARE);
    figures.push(...(await measureSize(connections, wanted, rounds, run)));
  }
  return figures;
}

async function measureSize(
  connections: number,
  wanted: number,
  rounds: number,
  { progress, signal }: Run,
): Promise<readonly IdleFigures[]> {
  const results = new Map(CONTENDERS.map((contender) => [contender, new Array<OneStop>()]));
  for (let round = 1; round <= rounds; round++) {
    for (const [contender, stops] of results) {
      progress(`${connections} idle connections: round ${round} of ${rounds}, ${TITLES[contender]}`);
      stops.push(await stopOnce(contender, connections, signal));
    }
  }
  const plain = results.get('close') ?? [];
  return [...results].map(([contender, stops]) => ({
    contender,
    title: TITLES[contender],
    connections,
    wanted,
    reset: spreadOf(stops.map(({ reset }) => reset)),
    done: spreadOf(stops.map(({ done }) => done)),
    exit: spreadOf(stops.map(({ exit }) => exit)),
    ratio: spreadOf(stops.map(({ exit }, round) => exit / (plain[round]?.exit ?? Number.NaN))),
    cpu: spreadOf(stops.map(({ cpu }) => cpu)),
  }));
}

async function stopOnce(contender: Contender, connections: number, signal: AbortSignal): Promise<OneStop> {
  const server = await ServerProcess.start(contender, signal);
  const clients = new ClientProcess({ port: server.port, connections, signal });
  await clients.answered();
  await new Promise((resolve) => setTimeout(resolve, QUIET));

  const { cpu: cpuBefore } = await server.ask('usage', 'usage');
  const cpuOfOthers = cpuOfEndedChildren();
  const began = performance.now();
  const exited = server.exit().then(() => performance.now() - began);
  const { done } = await server.ask('stop', 'stopped');
  const exit = await exited;
  const cpu = cpuOfEndedChildren() - cpuOfOthers - cpuBefore;

  const { reset } = await clients.gone();
  await clients.end();
  return { reset, done, exit, cpu };
}
