import { ClientProcess } from '../processes/client-process.ts';
import { CONTENDERS, type Contender, TITLES } from '../processes/contenders.ts';
import type { Memory } from '../processes/messages.ts';
import type { Run } from '../run.ts';
import { ServerProcess } from '../processes/server-process.ts';
import { type Spread, spreadOf } from '../report/statistics.ts';

/** They come first: what a server needs once, it has then. */
const WARM_UP = 1_000;

/** Bytes per idle kept connection, of the server's process. */
export interface MemoryFigures {
  readonly contender: Contender;
  readonly title: string;
  readonly connections: number;
  /** JavaScript's, after the garbage was collected. */
  readonly heap: Spread;
  /** Beyond those of the plain server of the same round, which is one without any library. */
  readonly heapBeyond: Spread;
  readonly resident: Spread;
  readonly residentBeyond: Spread;
}

type PerConnection = Omit<Memory, 'kind'>;

/** Each contender in turn, and that again and again. */
export async function measureMemory(run: Run): Promise<readonly MemoryFigures[]> {
  const results = new Map(CONTENDERS.map((contender) => [contender, new Array<PerConnection>()]));
  for (let round = 1; round <= run.memory; round++) {
    for (const [contender, list] of results) {
      run.progress(`memory per connection: round ${round} of ${run.memory}, ${TITLES[contender]}`);
      list.push(await measureOnce(contender, run.memoryConnections, run.signal));
    }
  }
  const plain = results.get('close') ?? [];
  return [...results].map(([contender, list]) => ({
    contender,
    title: TITLES[contender],
    connections: run.memoryConnections,
    heap: spreadOf(list.map(({ heap }) => heap)),
    heapBeyond: spreadOf(list.map(({ heap }, round) => heap - (plain[round]?.heap ?? Number.NaN))),
    resident: spreadOf(list.map(({ resident }) => resident)),
    residentBeyond: spreadOf(list.map(({ resident }, round) => resident - (plain[round]?.resident ?? Number.NaN))),
  }));
}

async function measureOnce(contender: Contender, connections: number, signal: AbortSignal): Promise<PerConnection> {
  const server = await ServerProcess.start(contender, signal, { execArgv: ['--expose-gc'] });
  const first = new ClientProcess({ port: server.port, connections: WARM_UP, signal });
  await first.answered();
  const before = await server.ask('memory', 'memory');
  const others = new ClientProcess({ port: server.port, connections, signal });
  await others.answered();
  const after = await server.ask('memory', 'memory');

  await server.end();
  await Promise.all([first.end(), others.end()]);
  return {
    heap: (after.heap - before.heap) / connections,
    resident: (after.resident - before.resident) / connections,
  };
}
