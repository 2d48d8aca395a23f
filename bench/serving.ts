import { runAnywhere, startOnFirstProcessor } from './affinity.ts';
import { runStorm } from '../src/storm/storm.ts';
import type { Contender } from './contenders.ts';
import type { Run } from './run.ts';
import { ServerProcess } from './server-process.ts';
import { median, type Spread, spreadOf } from './statistics.ts';

const CLIENTS = 8;

/** CPU time per request with lastcall imported and installed, against without. */
export interface ServingFigures {
  readonly title: string;
  /** Microseconds of the server's CPU per request. */
  readonly without: number;
  readonly with: number;
  /** With against without, in the pairs measured one right after the other. */
  readonly ratio: Spread;
  /** Another plain server against the first, in the same rounds: what the machine's noise alone comes to. */
  readonly noise: Spread;
}

interface Round {
  readonly plain: number;
  readonly lastcall: number;
  readonly control: number;
}

/**
 * Fresh servers for each set, for two processes of the same program differ by themselves. They have a processor of their
 * own: sharing it with the clients costs each some caches, by chance, and that is more than what is to be measured.
 */
export async function measureServing(run: Run): Promise<readonly ServingFigures[]> {
  try {
    return [
      await measureKind('requests on kept connections', true, run),
      await measureKind('a new connection for each request', false, run),
    ];
  } finally {
    runAnywhere();
  }
}

async function measureKind(title: string, keepAlive: boolean, run: Run): Promise<ServingFigures> {
  const rounds: Round[] = [];
  for (let set = 1; set <= run.servingSets; set++) {
    run.progress(`CPU time per request, ${title}: set ${set} of ${run.servingSets}`);
    rounds.push(...(await measureSet(keepAlive, set, run)));
  }
  return {
    title,
    without: median(rounds.map(({ plain }) => plain)),
    with: median(rounds.map(({ lastcall }) => lastcall)),
    ratio: spreadOf(rounds.map(({ plain, lastcall }) => lastcall / plain)),
    noise: spreadOf(rounds.map(({ plain, control }) => control / plain)),
  };
}

async function measureSet(keepAlive: boolean, set: number, run: Run): Promise<readonly Round[]> {
  const contenders: readonly Contender[] = ['close', 'lastcall', 'close'];
  const servers = await startOnFirstProcessor(() =>
    Promise.all(contenders.map((contender) => ServerProcess.start(contender, run.signal))),
  );
  const [plain, lastcall, control] = servers;
  if (plain === undefined || lastcall === undefined || control === undefined) throw new Error('A server is missing');
  const measure = (server: ServerProcess): Promise<number> => cpuPerRequest(server, keepAlive, run);

  for (const server of servers) await measure(server);
  const rounds: Round[] = [];
  for (let round = 0; round < run.servingRounds; round++) {
    // Who goes first changes from round to round.
    const order = (set + round) % 2 === 0 ? [plain, lastcall, control] : [control, lastcall, plain];
    const cpu = new Map<ServerProcess, number>();
    for (const server of order) cpu.set(server, await measure(server));
    const of = (server: ServerProcess): number => cpu.get(server) ?? Number.NaN;
    rounds.push({ plain: of(plain), lastcall: of(lastcall), control: of(control) });
  }
  await Promise.all(servers.map((server) => server.end()));
  return rounds;
}

/** Microseconds of CPU. */
async function cpuPerRequest(server: ServerProcess, keepAlive: boolean, run: Run): Promise<number> {
  const { cpu: before } = await server.ask('usage', 'usage');
  const { counts } = await runStorm({
    target: { host: '127.0.0.1', port: server.port },
    clients: CLIENTS,
    keepAlive,
    // A connection for each takes twice as long.
    requests: keepAlive ? run.requestsPerRound : run.requestsPerRound / 2,
    duration: 60_000,
    signal: run.signal,
  }).finished;
  const { cpu: after } = await server.ask('usage', 'usage');
  return ((after - before) * 1_000) / counts.served;
}
