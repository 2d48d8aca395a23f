import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { CloseReport } from '../../src/index.ts';
import type { OwingServerOrder, OwingServerSends } from '../fixtures/close/owing-server.ts';
import { count } from '../harness/counts.ts';
import { queuedAt } from '../harness/ports.ts';
import { startFixture } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { until } from '../harness/wait.ts';
import { beClient, MANNERS, type OwedClient, type Saw } from './owed-clients.ts';

const CLOSES = count(200, 8);
/** To run the closes of a failure again: its seed. */
const SEED = process.env.LASTCALL_AGREES_SEED;
const LONGEST_CLOSE = 12_000;

/** One close: who has asked before it, who waits in the queues, and how it is called. */
interface Schedule {
  readonly clients: readonly OwedClient[];
  readonly queued: readonly OwedClient[];
  readonly options: NonNullable<OwingServerOrder['options']>;
}

/** What the clients saw of a close, and what it reported; a plain close reports nothing. */
interface Seen {
  readonly saw: readonly Saw[];
  readonly report: CloseReport | undefined;
}

describe('the report and the clients', { timeout: CLOSES * LONGEST_CLOSE + 60_000 }, () => {
  const proof = prove('what each client is owed, in closes of any length');

  it(`agree on who lost what it was owed, in ${CLOSES} closes`, async (t) => {
    const sums = { whole: 0, lost: 0, unasked: 0, refused: 0, complete: 0, forced: 0, fromQueues: 0 };
    const property = fc.asyncProperty(schedules(), async (schedule) => {
      const { saw, report } = await close('graceful', schedule);
      assert.ok(report !== undefined);
      for (const one of saw) sums[one] += 1;
      sums[report.outcome] += 1;
      sums.fromQueues += report.connections.fromQueues;
      checkAgreement(saw, report);
    });
    const seed = SEED === undefined ? {} : { seed: Number(SEED) };
    await fc.assert(property, {
      numRuns: CLOSES,
      includeErrorInReport: true,
      endOnFailure: true,
      examples: [[ONE_OF_EACH]],
      ...seed,
    });
    t.diagnostic(JSON.stringify(sums));
    assert.ok(sums.whole > 0 && sums.complete > 0 && sums.fromQueues > 0, JSON.stringify(sums));
    proof.held(t, { queued: sums.fromQueues, 'not lost': sums.whole });
  });

  it('control: a plain close and exit loses clients', async (t) => {
    const { saw } = await close('plain', ONE_OF_EACH);
    proof.lost(t, saw.filter((one) => one === 'lost').length);
  });

  it('control: a report that is too kind does not agree', () => {
    const connections = { atStart: 1, fromQueues: 0, ended: 1, lateRequests: 0, cut: [] };
    const kind = { outcome: 'complete', connections, doubts: [] } as unknown as CloseReport;
    assert.doesNotThrow(() => checkAgreement(['whole', 'refused'], kind));
    assert.throws(() => checkAgreement(['whole', 'lost'], kind));
  });
});

/** No more have lost than the report names, and it names nobody who has lost nothing. */
function checkAgreement(saw: readonly Saw[], report: CloseReport): void {
  const lost = saw.filter((one) => one === 'lost').length;
  const unasked = saw.filter((one) => one === 'unasked').length;
  const { cut, lateRequests } = report.connections;
  const seen = JSON.stringify({ saw, report });
  if (report.doubts.length === 0) assert.ok(lost <= cut.length + lateRequests, seen);
  if (report.outcome === 'complete') assert.ok(lost <= lateRequests, seen);
  // A client that has all that it wants may reset its connection: the server cannot tell.
  const cutHere = cut.filter(({ reason }) => reason !== 'reset by peer');
  assert.ok(cutHere.length <= lost + unasked, seen);
}

function schedules(): fc.Arbitrary<Schedule> {
  const client = fc.record({
    manner: fc.constantFrom(...MANNERS),
    count: fc.integer({ min: 1, max: 5 }),
    every: fc.constantFrom(0, 30, 150, 600),
    pause: fc.constantFrom(0, 50, 400),
  });
  return fc.record({
    clients: fc.array(client, { maxLength: 25, size: 'max' }),
    queued: fc.array(client, { maxLength: 15, size: 'max' }),
    options: fc.record({
      deadline: fc.constantFrom(400, 1_500, 6_000),
      idleWait: fc.integer({ min: 50, max: 300 }),
      lingerWait: fc.integer({ min: 50, max: 300 }),
    }),
  });
}

/** One client of each manner that has asked, and one that is queued; all can be served in time. */
const ONE_OF_EACH: Schedule = {
  clients: MANNERS.map((manner) => ({ manner, count: 2, every: 150, pause: 50 })),
  queued: MANNERS.map((manner) => ({ manner, count: 2, every: 150, pause: 50 })),
  options: { deadline: 6_000, idleWait: 200, lingerWait: 200 },
};

async function close(how: OwingServerOrder['how'], { clients, queued, options }: Schedule): Promise<Seen> {
  await using server = startFixture<OwingServerSends>('close/owing-server');
  const ports = await server.next('ports');
  let asked = 0;
  const countAsked = (): void => void (asked += 1);
  const early = clients.map((client) => beClient(client, ports, countAsked));
  await until('the early clients have asked', () => asked >= clients.length);
  await server.hold();
  const late = queued.map((client) => beClient(client, ports, countAsked));
  await until('the late clients are queued', () => {
    return Object.values(ports).reduce((sum, port) => sum + queuedAt(port), 0) >= queued.length;
  });
  server.send({ how, options } satisfies OwingServerOrder);
  server.goOn();
  const report = how === 'graceful' ? await server.next('report') : undefined;
  return { saw: await Promise.all([...early, ...late]), report };
}
