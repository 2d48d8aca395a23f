import { TITLES } from './contenders.ts';
import type { Figures, Goal } from './figures.ts';

const GATE = 1;
const SERVING = 1.01;
/** A queue of the largest size may cost so many times as much per connection as one of the middle size. */
const LINEAR = 1.25;

/** Whether the figures are what lastcall promises. */
export function judge({ stops, queues, serving }: Omit<Figures, 'goals'>): readonly Goal[] {
  const stop = stops.find(({ title }) => title === TITLES.lastcall);
  const own = queues.filter(({ title }) => title === TITLES.lastcall);
  const lost = (stop?.lost.most ?? Number.NaN) + own.reduce((sum, queue) => sum + queue.lost.most, 0);
  const gate = stop?.gate.median ?? Number.NaN;
  const growth = (own.at(-1)?.cpu.median ?? Number.NaN) / (own.at(-2)?.cpu.median ?? Number.NaN);
  return [
    {
      title: 'clients lost by lastcall, worst stop and worst queues together',
      goal: '0',
      measured: `${lost}`,
      met: lost === 0,
    },
    {
      title: 'from the call to the gate shut',
      goal: `under ${GATE} ms`,
      measured: `${gate.toFixed(2)} ms`,
      met: gate < GATE,
    },
    {
      title: `CPU per queued connection, ${own.at(-1)?.queued} against ${own.at(-2)?.queued} queued`,
      goal: `at most ${LINEAR} (linear)`,
      measured: growth.toFixed(2),
      met: growth <= LINEAR,
    },
    ...serving.map(({ title, ratio }) => ({
      title: `CPU time with lastcall against without, ${title}`,
      goal: `at most ${SERVING}`,
      measured: ratio.median.toFixed(3),
      met: ratio.median <= SERVING,
    })),
  ];
}
