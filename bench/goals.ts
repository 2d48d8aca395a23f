import { TITLES } from './contenders.ts';
import type { Figures, Goal } from './figures.ts';
import type { Spread } from './statistics.ts';

const GATE = 1;
const SERVING = 1.01;
/** A queue of the largest size may cost so many times as much per connection as one of the middle size. */
const LINEAR = 1.25;

/** Whether the figures are what lastcall promises. */
export function judge({ stops, queues, serving }: Omit<Figures, 'goals'>): readonly Goal[] {
  // However the server was started: the worst of every case counts, not only that of the usual one.
  const ownStops = stops.filter(({ contender }) => contender === 'lastcall');
  const ownQueues = queues.filter(({ title }) => title === TITLES.lastcall);
  const lost = [...ownStops, ...ownQueues].reduce((worst, figures) => Math.max(worst, figures.lost.most), 0);
  const [middle, largest] = ownQueues.slice(-2);
  const growth = (largest?.cpu.median ?? Number.NaN) / (middle?.cpu.median ?? Number.NaN);
  return [
    {
      title: 'clients lost by lastcall, the worst stop of all',
      goal: '0',
      measured: `${lost}`,
      verdict: lost === 0 ? 'met' : 'missed',
    },
    ...ownStops.map(({ title, gate }) => ({
      title: `from the call to the gate shut, ${title}`,
      goal: `under ${GATE} ms`,
      measured: `${withRange(gate, 2)} ms`,
      verdict: decide(gate, GATE),
    })),
    {
      title: `CPU per queued connection, ${largest?.queued} against ${middle?.queued} queued`,
      goal: `at most ${LINEAR} (linear)`,
      measured: growth.toFixed(2),
      verdict: growth <= LINEAR ? 'met' : 'missed',
    },
    ...serving.map(({ title, ratio }) => ({
      title: `CPU time with lastcall against without, ${title}`,
      goal: `at most ${SERVING}`,
      measured: withRange(ratio, 3),
      verdict: decide(ratio, SERVING),
    })),
  ];
}

function decide({ low, high }: Spread, limit: number): Goal['verdict'] {
  if (high <= limit) return 'met';
  return low > limit ? 'missed' : 'undecided';
}

function withRange({ median, low, high }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${low.toFixed(digits)} – ${high.toFixed(digits)})`;
}
