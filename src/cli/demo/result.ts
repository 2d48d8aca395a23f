import { countLost, noCounts, type StormCounts } from '../../storm/outcome.ts';
import { counted } from '../../counted.ts';
import { WAYS, type Way } from './messages.ts';
import type { Stop } from './stop.ts';

/** The sums of all stops of one way. */
export interface WayResult {
  readonly way: Way;
  readonly counts: Readonly<StormCounts>;
  readonly lost: number;
  readonly stops: readonly Pick<Stop, 'storm' | 'report'>[];
}

export interface Verdict {
  /** lastcall lost no client, and the plain close, which is the control, lost some. */
  readonly ok: boolean;
  readonly text: string;
}

/** What `lastcall demo --json` prints. */
export interface DemoResult {
  readonly clients: number;
  readonly port: number;
  readonly ways: readonly WayResult[];
  readonly verdict: Verdict;
}

export function resultOf(clients: number, port: number, stops: readonly Stop[]): DemoResult {
  const ways = WAYS.map((way) => sumOf(way, stops));
  return { clients, port, ways, verdict: judge(ways, stops.length / WAYS.length) };
}

function sumOf(way: Way, stops: readonly Stop[]): WayResult {
  const ofWay = stops.filter((stop) => stop.way === way).map(({ storm, report }) => ({ storm, report }));
  const counts = noCounts();
  for (const { storm } of ofWay) addCounts(counts, storm.counts);
  return { way, counts, lost: countLost(counts), stops: ofWay };
}

function addCounts(sum: StormCounts, more: Readonly<StormCounts>): void {
  for (const [name, count] of Object.entries(more)) {
    if (isCountName(name, sum)) sum[name] += count;
  }
}

function isCountName(name: string, counts: StormCounts): name is keyof StormCounts {
  return name in counts;
}

/** `stops` is the number of stops of each way. */
function judge(ways: readonly WayResult[], stops: number): Verdict {
  const plainLost = lostBy(ways, 'server.close()');
  const gracefulLost = lostBy(ways, 'gracefulClose()');
  const failed = ways.reduce((sum, { counts }) => sum + counts.failed, 0);
  if (failed > 0) {
    return {
      ok: false,
      text: `No verdict: ${counted(failed, 'request')} failed in the clients themselves; see \`failed\` in --json.`,
    };
  }
  if (gracefulLost > 0) {
    const why = hadNoGate(ways) ? 'it could shut no gate here' : 'it should have lost none';
    return { ok: false, text: `lastcall lost ${counted(gracefulLost, 'client')}: ${why}.` };
  }
  if (plainLost === 0) {
    return { ok: false, text: 'No verdict: the plain close lost nobody either. Use more --clients to fill the queue.' };
  }
  const lost = counted(plainLost, 'client');
  return { ok: true, text: `The plain close lost ${lost} in ${counted(stops, 'stop')}; lastcall lost nobody.` };
}

function lostBy(ways: readonly WayResult[], wanted: Way): number {
  return ways.find(({ way }) => way === wanted)?.lost ?? 0;
}

function hadNoGate(ways: readonly WayResult[]): boolean {
  const reports = ways.flatMap(({ stops }) => stops.flatMap(({ report }) => report ?? []));
  return reports.some(({ listeners }) => listeners.some(({ gate }) => gate === 'none'));
}
