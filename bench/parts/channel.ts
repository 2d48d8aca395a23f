import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { CHANNEL_CONTENDERS, type ChannelContender } from '../programs/channel-contenders.ts';
import type { Run } from '../run.ts';
import { type Spread, spreadOf } from '../report/statistics.ts';

/** What one contender does under one load. */
export interface ChannelFigures {
  readonly contender: ChannelContender;
  readonly title: string;
  readonly bytes: number;
  readonly connections: number;
  /** Requests that each connection has under way at once. */
  readonly atOnce: number;
  readonly perSecond: Spread;
  /** Microseconds. */
  readonly p99: Spread;
  /** How many times as many requests as the contender lastcall does in the same round. */
  readonly ahead: Spread;
}

interface Load {
  readonly bytes: number;
  readonly connections: number;
  readonly atOnce: number;
}

const LOADS: readonly Load[] = [
  { bytes: 64, connections: 1, atOnce: 100 },
  { bytes: 64, connections: 100, atOnce: 10 },
  { bytes: 65_536, connections: 1, atOnce: 10 },
  { bytes: 65_536, connections: 100, atOnce: 1 },
];

const NAMES = Object.keys(CHANNEL_CONTENDERS) as ChannelContender[];

/** All contenders one after the other, in every round; server and clients are a process each. */
export async function measureChannel(run: Run): Promise<readonly ChannelFigures[]> {
  const figures: ChannelFigures[] = [];
  for (const load of LOADS) {
    const rounds: Record<ChannelContender, { readonly perSecond: number; readonly p99: number }>[] = [];
    for (let round = 1; round <= run.channels; round++) {
      const of: [ChannelContender, { readonly perSecond: number; readonly p99: number }][] = [];
      for (const name of NAMES) {
        run.progress(
          `channel: ${load.bytes} bytes, ${load.connections} connections, ${name}, round ${round} of ${run.channels}`,
        );
        of.push([name, await measureOne(name, load, run)]);
      }
      rounds.push(Object.fromEntries(of) as (typeof rounds)[number]);
    }
    for (const contender of NAMES) {
      figures.push({
        contender,
        title: CHANNEL_CONTENDERS[contender].title,
        ...load,
        perSecond: spreadOf(rounds.map((round) => round[contender].perSecond)),
        p99: spreadOf(rounds.map((round) => round[contender].p99)),
        ahead: spreadOf(rounds.map((round) => round.channel.perSecond / round[contender].perSecond)),
      });
    }
  }
  return figures;
}

async function measureOne(
  name: ChannelContender,
  { bytes, connections, atOnce }: Load,
  { channelTime, signal }: Run,
): Promise<{ readonly perSecond: number; readonly p99: number }> {
  const server = spawn(process.execPath, [programOf('server'), name], { stdio: ['pipe', 'pipe', 'inherit'], signal });
  const serverEnded = once(server, 'exit').catch(() => {});
  try {
    const [port] = (await once(server.stdout, 'data')) as [Buffer];
    const numbers = [Number(port.toString()), connections, atOnce, bytes, channelTime].map(String);
    const clients = spawn(process.execPath, [programOf('clients'), name, ...numbers], {
      stdio: ['ignore', 'pipe', 'inherit'],
      signal,
    });
    const [said] = (await once(clients.stdout, 'data')) as [Buffer];
    await once(clients, 'exit');
    return JSON.parse(said.toString()) as { perSecond: number; p99: number };
  } finally {
    server.stdin.end();
    await serverEnded;
  }
}

function programOf(name: 'server' | 'clients'): string {
  return fileURLToPath(new URL(`../programs/channel-${name}.js`, import.meta.url));
}
