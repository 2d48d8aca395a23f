import { TITLES } from '../processes/contenders.ts';
import type { Figures, Goal } from './figures.ts';
import { withInterval } from './spread-text.ts';
import type { Spread } from './statistics.ts';

const GATE = 1;
const SERVING = { http: 1.01, http2: 1.02 } as const;
/** The largest size may cost so many times as much per connection as the one before. */
const LINEAR = 1.25;
/** With so many idle connections, lastcall's exit may take `IDLE_EXIT` times as long as that of a plain close. */
const IDLE_CONNECTIONS = 10_000;
const IDLE_EXIT = 1.2;
const MEMORY = 200;
/** Milliseconds beyond one round trip. */
const DELIVERY = 5;
/** Of `lastcall run`: milliseconds until the program runs, MiB, and milliseconds from the signal to the gate. */
const RUN = { start: 120, memory: 60, gate: 20 } as const;

/** With small payloads lastcall/channel does so many times as many requests. */
const CHANNEL = { http2: 5, ws: 1, grpc: 1 } as const;
const SMALL = 64;

/** Percent of one core, with the most connections. */
const WATCH = 2;

type Measured = Omit<Figures, 'goals'>;

/** Whether the figures are what lastcall promises; of the parts that were measured. */
export function judge(measured: Measured): readonly Goal[] {
  return [
    ...judgeLosses(measured),
    ...judgeGates(measured),
    ...judgeQueues(measured),
    ...judgeIdle(measured),
    ...judgeMemory(measured),
    ...judgeDelivery(measured),
    ...judgeRefused(measured),
    ...judgeServing(measured),
    ...judgeRuns(measured),
    ...judgeWatching(measured),
    ...judgeChannel(measured),
  ];
}

function judgeLosses({ stops, queues, idle, delivery }: Measured): readonly Goal[] {
  // However the server was started: the worst of every case counts, not only that of the usual one.
  const losses = [
    ...stops.filter(isOwn).map(({ lost }) => lost),
    ...queues.filter(({ title }) => title === TITLES.lastcall).map(({ lost }) => lost),
    ...[...idle, ...delivery].filter(isOwn).map(({ reset }) => reset),
  ];
  if (losses.length === 0) return [];
  const worst = Math.max(...losses.map(({ most }) => most));
  return [
    {
      title: 'clients lost by lastcall, the worst stop of all',
      goal: '0',
      measured: `${worst}`,
      verdict: worst === 0 ? 'met' : 'missed',
    },
  ];
}

function judgeGates({ stops }: Measured): readonly Goal[] {
  return stops.filter(isOwn).map(({ title, gate }) => ({
    title: `from the call to the gate shut, ${title}`,
    goal: `under ${GATE} ms`,
    measured: `${withInterval(gate, 2)} ms`,
    verdict: decide(gate, GATE),
  }));
}

function judgeQueues({ queues }: Measured): readonly Goal[] {
  const own = queues.filter(({ title }) => title === TITLES.lastcall);
  return judgeGrowth(
    'CPU per queued connection',
    own.map(({ queued, cpu }) => ({ size: queued, each: cpu.median })),
  );
}

function judgeIdle({ idle }: Measured): readonly Goal[] {
  const own = idle.filter(isOwn);
  const exits = own
    .filter(({ connections }) => connections === IDLE_CONNECTIONS)
    .map(({ ratio }) => ({
      title: `exit with ${IDLE_CONNECTIONS} idle connections, against plain server.close()`,
      goal: `at most ${IDLE_EXIT}`,
      measured: withInterval(ratio, 2),
      verdict: decide(ratio, IDLE_EXIT),
    }));
  return [
    ...exits,
    ...judgeGrowth(
      'time to exit per idle connection',
      own.map(({ connections, exit }) => ({ size: connections, each: exit.median / connections })),
    ),
    ...judgeGrowth(
      'CPU per idle connection',
      own.map(({ connections, cpu }) => ({ size: connections, each: cpu.median / connections })),
    ),
  ];
}

function judgeMemory({ memory }: Measured): readonly Goal[] {
  return memory.filter(isOwn).map(({ heapBeyond }) => ({
    title: 'memory per connection beyond a bare server',
    goal: `under ${MEMORY} bytes`,
    measured: `${withInterval(heapBeyond, 0)} bytes`,
    verdict: decide(heapBeyond, MEMORY),
  }));
}

function judgeDelivery({ delivery }: Measured): readonly Goal[] {
  return delivery.filter(isOwn).map(({ connections, roundTrip, time }) => ({
    title: `last response to promise, ${connections} under way, round trip ${roundTrip} ms`,
    goal: `at most ${roundTrip + DELIVERY} ms`,
    measured: `${withInterval(time, 1)} ms`,
    verdict: decide(time, roundTrip + DELIVERY),
  }));
}

function judgeRefused({ refused }: Measured): readonly Goal[] {
  const [without, ours] = (['close', 'lastcall'] as const).map((name) =>
    refused.find(({ contender }) => contender === name),
  );
  if (without === undefined || ours === undefined) return [];
  const isMet = ours.cut.most === 0 && ours.refused.median <= without.refused.median;
  return [
    {
      title: 'HTTP/2 streams refused under TLS',
      goal: `at most ${without.refused.median}, as by session.close(), and none cut`,
      measured: `${ours.refused.median}, ${ours.cut.most} cut`,
      verdict: isMet ? 'met' : 'missed',
    },
  ];
}

function judgeServing({ serving }: Measured): readonly Goal[] {
  return serving.map(({ title, protocol, ratio }) => ({
    title: `CPU time with lastcall against without, ${title}`,
    goal: `at most ${SERVING[protocol]}`,
    measured: withInterval(ratio, 3),
    verdict: decide(ratio, SERVING[protocol]),
  }));
}

/** Sizes in ascending order: what the largest costs for each against the one before. */
function judgeGrowth(
  what: string,
  sizes: readonly { readonly size: number; readonly each: number }[],
): readonly Goal[] {
  const [middle, largest] = sizes.slice(-2);
  if (middle === undefined || largest === undefined) return [];
  const growth = largest.each / middle.each;
  return [
    {
      title: `${what}, ${largest.size} against ${middle.size}`,
      goal: `at most ${LINEAR} (linear)`,
      measured: growth.toFixed(2),
      verdict: growth <= LINEAR ? 'met' : 'missed',
    },
  ];
}

function isOwn({ contender }: { readonly contender: string }): boolean {
  return contender === 'lastcall';
}

function decide({ low, high }: Spread, limit: number): Goal['verdict'] {
  if (high <= limit) return 'met';
  return low > limit ? 'missed' : 'undecided';
}

function judgeRuns({ runs }: Measured): readonly Goal[] {
  const [own] = runs;
  if (own === undefined) return [];
  const { start, memory, gate } = own;
  return [
    {
      title: 'lastcall run, until the program runs',
      goal: `under ${RUN.start} ms`,
      measured: `${withInterval(start, 0)} ms`,
      verdict: decide(start, RUN.start),
    },
    {
      title: 'lastcall run, memory',
      goal: `under ${RUN.memory} MiB`,
      measured: `${(memory.median / 1_024).toFixed(1)} MiB`,
      verdict: memory.most / 1_024 < RUN.memory ? 'met' : 'missed',
    },
    ...gate.map(
      ({ descendants, after }): Goal => ({
        title: `lastcall run, from the signal to the gate, ${descendants} descendants`,
        goal: `under ${RUN.gate} ms`,
        measured: `${withInterval(after, 1)} ms`,
        verdict: decide(after, RUN.gate),
      }),
    ),
  ];
}

function judgeWatching({ watching }: Measured): readonly Goal[] {
  const most = watching.at(-1);
  if (most === undefined) return [];
  return [
    {
      title: `lastcall watch, ${most.connections.toLocaleString('en')} connections, one look a second`,
      goal: `under ${WATCH} % of a core`,
      measured: `${withInterval(most.cpu, 1)} %`,
      verdict: decide(most.cpu, WATCH),
    },
  ];
}

function judgeChannel({ channel }: Measured): readonly Goal[] {
  return channel.flatMap(({ contender, title, bytes, connections, ahead }) => {
    if (contender === 'channel' || bytes !== SMALL) return [];
    const least = CHANNEL[contender];
    return [
      {
        title: `channel against ${title}, ${bytes} bytes, ${connections === 1 ? 'one connection' : `${connections} connections`}`,
        goal: least === 1 ? 'ahead' : `at least ${least} times`,
        measured: withInterval(ahead, 1),
        verdict: ahead.low >= least ? 'met' : ahead.high < least ? 'missed' : 'undecided',
      },
    ];
  });
}
