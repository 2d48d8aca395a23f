import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { reportOf } from '../cli/stop-to-the-end.ts';
import { beClient, type OwedClient, type Saw } from '../close/owed-clients.ts';
import type { StopReport } from '../../src/program/report.ts';
import type { AtSignal, OwingProgramSends } from '../fixtures/program/owing-program.ts';
import { count } from '../harness/counts.ts';
import { startLastcall, TO_GATE } from '../harness/lastcall-command.ts';
import { queuedAt, untilAccepted } from '../harness/ports.ts';
import { startFixture } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { until } from '../harness/wait.ts';

const STOPS = count(100, 5);
/** To run the stops of a failure again: its seed. */
const SEED = process.env.LASTCALL_AGREES_SEED;
const LONGEST_STOP = 15_000;

/** One stop: the program, who has asked before it, who waits in its queues, and how long it may take. */
interface Schedule {
  readonly atSignal: AtSignal;
  readonly clients: readonly OwedClient[];
  readonly queued: readonly OwedClient[];
  /** In ms. */
  readonly deadline: number;
}

interface Seen {
  readonly saw: readonly Saw[];
  readonly report: StopReport | undefined;
}

describe('the report of a program without lastcall', { timeout: STOPS * LONGEST_STOP + 60_000 }, () => {
  const proof = prove('what each client is owed, in stops of a program from outside');

  it(`is complete only if no client lost what it was owed, in ${STOPS} stops`, async (t) => {
    const sums = { whole: 0, lost: 0, unasked: 0, refused: 0, queued: 0 };
    const outcomes = new Map<string, number>();
    const property = fc.asyncProperty(schedules(), async (schedule) => {
      const { saw, report } = await stop('lastcall', schedule);
      assert.ok(report !== undefined);
      for (const one of saw) sums[one] += 1;
      sums.queued += report.listeners.reduce((sum, { queued }) => sum + queued, 0);
      outcomes.set(report.outcome, (outcomes.get(report.outcome) ?? 0) + 1);
      checkAgreement(saw, report);
    });
    const seed = SEED === undefined ? {} : { seed: Number(SEED) };
    const first = { examples: [[ONE_OF_EACH]] satisfies [Schedule][] };
    await fc.assert(property, { numRuns: STOPS, includeErrorInReport: true, endOnFailure: true, ...first, ...seed });
    t.diagnostic(JSON.stringify({ ...sums, ...Object.fromEntries(outcomes) }));
    assert.ok(sums.whole > 0 && sums.queued > 0 && outcomes.has('complete'), JSON.stringify(sums));
    proof.held(t, { queued: sums.queued, 'not lost': sums.whole });
  });

  it('control: the signal alone loses clients', async (t) => {
    const { saw } = await stop('signal', ONE_OF_EACH);
    proof.lost(t, saw.filter((one) => one === 'lost').length);
  });
});

function checkAgreement(saw: readonly Saw[], report: StopReport): void {
  const lost = saw.filter((one) => one === 'lost').length;
  assert.ok(lost === 0 || report.outcome !== 'complete', JSON.stringify({ saw, report }));
}

// A WebSocket or an idle connection ends with such a program without a farewell: only what has been asked is compared.
const MANNERS = ['response', 'posted events', 'stream', 'raw'] as const;

function schedules(): fc.Arbitrary<Schedule> {
  const client = fc.record({
    manner: fc.constantFrom(...MANNERS),
    count: fc.integer({ min: 1, max: 5 }),
    every: fc.constantFrom(0, 30, 150, 600),
    pause: fc.constant(0),
  });
  return fc.record({
    atSignal: fc.constantFrom('dies' as const, 'closes' as const),
    clients: fc.array(client, { maxLength: 20, size: 'max' }),
    queued: fc.array(client, { maxLength: 15, size: 'max' }),
    deadline: fc.constantFrom(1_500, 4_000, 9_000),
  });
}

/** One client of each manner that has asked, and one that is queued; the program dies at the signal. */
const ONE_OF_EACH: Schedule = {
  atSignal: 'dies',
  clients: MANNERS.map((manner) => ({ manner, count: 2, every: 150, pause: 0 })),
  queued: MANNERS.map((manner) => ({ manner, count: 2, every: 150, pause: 0 })),
  deadline: 9_000,
};

async function stop(by: 'lastcall' | 'signal', { atSignal, clients, queued, deadline }: Schedule): Promise<Seen> {
  await using program = startFixture<OwingProgramSends>('program/owing-program', { args: [atSignal] });
  const ports = await program.next('ports');
  let asked = 0;
  const countAsked = (): void => void (asked += 1);
  const early = clients.map((client) => beClient(client, ports, countAsked));
  await until('the early clients have asked', () => asked >= clients.length);
  await program.hold();
  const late = queued.map((client) => beClient(client, ports, countAsked));
  await until('the late clients are queued', () => {
    return Object.values(ports).reduce((sum, port) => sum + queuedAt(port), 0) >= queued.length;
  });
  if (by === 'signal') {
    program.signal('SIGTERM');
    program.goOn();
    return { saw: await Promise.all([...early, ...late]), report: undefined };
  }
  const options = ['--json', '--deadline', `${deadline}ms`, ...TO_GATE];
  await using stopping = startLastcall(['stop', String(program.pid), ...options]);
  for (const port of Object.values(ports)) await untilAccepted({ port, host: '127.0.0.1' }, false);
  program.goOn();
  const report = reportOf(await stopping.ended);
  // One that is still running has not told its clients anything yet.
  if (report.outcome === 'still running') program.signal('SIGKILL');
  return { saw: await Promise.all([...early, ...late]), report };
}
