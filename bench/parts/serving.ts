import { runStorm } from '../../src/storm/storm.ts';
import { runAnywhere, startOnFirstProcessor } from '../processes/affinity.ts';
import { loadHttp2 } from '../processes/http2-load.ts';
import type { Run } from '../run.ts';
import { ServerProcess } from '../processes/server-process.ts';
import { median, type Spread, spreadOf } from '../report/statistics.ts';

const CLIENTS = 8;

/** CPU time per request with lastcall imported and installed, against without. */
export interface ServingFigures {
  readonly title: string;
  readonly protocol: 'http' | 'http2';
  /** Microseconds of the server's CPU per request. */
  readonly without: number;
  readonly with: number;
  /** With against without, in the pairs measured one right after the other. */
  readonly ratio: Spread;
  /** Another plain server against the first, in the same rounds: what the machine's noise alone comes to. */
  readonly noise: Spread;
}

interface Kind {
  readonly title: string;
  readonly protocol: ServingFigures['protocol'];
  /** Rounds that a fresh server is given before the first that counts. */
  readonly warmUp: number;
  /** Asks the server on that port, and returns how many requests were served. */
  readonly load: (port: number, run: Run) => Promise<number>;
}

const KINDS: readonly Kind[] = [
  {
    title: 'requests on kept connections',
    protocol: 'http',
    warmUp: 1,
    load: (port, run) => storm(port, run.requestsPerRound, true, run.signal),
  },
  {
    title: 'a new connection for each request',
    protocol: 'http',
    warmUp: 1,
    // A connection for each takes twice as long.
    load: (port, run) => storm(port, run.requestsPerRound / 2, false, run.signal),
  },
  {
    title: 'requests in HTTP/2 sessions',
    protocol: 'http2',
    // Much more code than HTTP/1.1's: a request costs three times as much at first, and still half as much again after 8,000.
    warmUp: 6,
    load: (port, run) => loadHttp2(port, run.requestsPerRound / 2),
  },
];

/** What the servers of a set come to, against the plain one: the medians of its rounds. */
interface SetFigures {
  readonly without: number;
  readonly with: number;
  readonly ratio: number;
  readonly noise: number;
}

const ROLES = ['plain', 'lastcall', 'control'] as const;
type Role = (typeof ROLES)[number];

/**
 * Fresh servers for each set, for two processes of the same program differ by themselves. They have a processor of their
 * own: sharing it with the clients costs each some caches, by chance, and that is more than what is to be measured.
 */
export async function measureServing(run: Run): Promise<readonly ServingFigures[]> {
  try {
    const figures: ServingFigures[] = [];
    for (const kind of KINDS) figures.push(await measureKind(kind, run));
    return figures;
  } finally {
    runAnywhere();
  }
}

async function measureKind(kind: Kind, run: Run): Promise<ServingFigures> {
  const sets: SetFigures[] = [];
  for (let set = 1; set <= run.servingSets; set++) {
    run.progress(`CPU time per request, ${kind.title}: set ${set} of ${run.servingSets}`);
    sets.push(await measureSet(kind, set, run));
  }
  return {
    title: kind.title,
    protocol: kind.protocol,
    without: median(sets.map((set) => set.without)),
    with: median(sets.map((set) => set.with)),
    ratio: spreadOf(sets.map(({ ratio }) => ratio)),
    noise: spreadOf(sets.map(({ noise }) => noise)),
  };
}

async function measureSet(kind: Kind, set: number, run: Run): Promise<SetFigures> {
  // Who is started first, and who goes first in a round, is another each time. Nobody goes twice running: the second
  // time it would find its caches warm.
  const roles = rotate(ROLES, set);
  const servers = await startOnFirstProcessor(() =>
    Promise.all(roles.map(async (role) => ({ role, server: await startAs(role, kind, run.signal) }))),
  );
  for (let round = 0; round < kind.warmUp; round++) {
    for (const { server } of servers) await cpuPerRequest(server, kind, run);
  }
  const rounds: Record<Role, number>[] = [];
  for (let round = 0; round < run.servingRounds; round++) {
    const cpu = { plain: Number.NaN, lastcall: Number.NaN, control: Number.NaN };
    for (const { role, server } of rotate(servers, round)) cpu[role] = await cpuPerRequest(server, kind, run);
    rounds.push(cpu);
  }
  await Promise.all(servers.map(({ server }) => server.end()));
  return {
    without: median(rounds.map(({ plain }) => plain)),
    with: median(rounds.map(({ lastcall }) => lastcall)),
    ratio: median(rounds.map(({ plain, lastcall }) => lastcall / plain)),
    noise: median(rounds.map(({ plain, control }) => control / plain)),
  };
}

function startAs(role: Role, { protocol }: Kind, signal: AbortSignal): Promise<ServerProcess> {
  const program = protocol === 'http2' ? 'http2-server' : 'server';
  return ServerProcess.start(role === 'lastcall' ? 'lastcall' : 'close', signal, { program });
}

function rotate<T>(list: readonly T[], by: number): readonly T[] {
  const start = by % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}

/** Microseconds of CPU. */
async function cpuPerRequest(server: ServerProcess, { load }: Kind, run: Run): Promise<number> {
  const { cpu: before } = await server.ask('usage', 'usage');
  const served = await load(server.port, run);
  const { cpu: after } = await server.ask('usage', 'usage');
  return ((after - before) * 1_000) / served;
}

async function storm(port: number, requests: number, keepAlive: boolean, signal: AbortSignal): Promise<number> {
  const target = { host: '127.0.0.1', port };
  const { counts } = await runStorm({ target, clients: CLIENTS, keepAlive, requests, duration: 60_000, signal })
    .finished;
  return counts.served;
}
