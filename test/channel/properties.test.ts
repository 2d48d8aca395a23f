import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { count } from '../harness/counts.ts';
import { prove } from '../harness/proof.ts';
import { type Happening, type Outcome, simulate, type Step } from './simulation/simulate.ts';

const RUNS = count(5_000, 150);

const STEADY: readonly Happening[] = ['ask', 'ask', 'ask', 'deliver', 'deliver', 'deliver', 'accept', 'answer', 'time'];
const RESTARTS: readonly Happening[] = ['close', 'start'];
const BREAKS: readonly Happening[] = ['cut', 'notice', 'kill', 'long time'];

/** The server is killed while it processes a request with a key, which must be processed again. */
const KILLED_IN_THE_MIDDLE: readonly Step[] = [
  'time',
  'accept',
  ...Array<Happening>(4).fill('deliver'),
  'ask',
  ...Array<Happening>(2).fill('deliver'),
  'kill',
].map((happens) => ({ happens: happens as Happening, pick: 0, amount: happens === 'deliver' ? 1_000 : 2 }));

/** The first client sends a request, and is answered before it sends the next. */
const STEADY_STEPS: readonly Step[] = (
  [
    'ask',
    'time',
    'accept',
    ...Array<Happening>(6).fill('deliver'),
    'answer',
    ...Array<Happening>(4).fill('deliver'),
  ] as const
).map((happens) => ({ happens, pick: 0, amount: happens === 'deliver' ? 4_000 : 0 }));

const proof = prove('requests over a simulated network whose server is closed and started');

describe('The channel over a simulated network', { timeout: 900_000 }, () => {
  it('processes every request exactly once where nothing breaks, no matter how often the server restarts', async (t) => {
    const seen = { requests: 0, closes: 0 };
    await check([...STEADY, ...RESTARTS], true, (outcome, steps) => {
      seen.requests += outcome.requests.length;
      seen.closes += steps.filter(({ happens }) => happens === 'close').length;
      for (const { number, kind, said } of outcome.requests) {
        assert.equal(said, 'done', `request ${number}, ${kind}`);
        assert.equal(outcome.processed.get(number), 1, `request ${number}, ${kind}`);
      }
    });
    assert.ok(seen.requests > RUNS && seen.closes > RUNS, JSON.stringify(seen));
    proof.held(t, seen);
  });

  it('leaves some outcomes unknown where the server closes without the farewell (control)', async (t) => {
    const seen = { done: 0, unknown: 0 };
    await check([...STEADY, 'close plainly', 'start'], true, (outcome) => {
      neverClaimsTooMuch(outcome);
      for (const { kind, said } of outcome.requests) {
        if (kind !== 'plain') assert.equal(said, 'done');
        else if (said === 'done') seen.done += 1;
        else seen.unknown += 1;
      }
    });
    assert.ok(seen.done > 0, JSON.stringify(seen));
    proof.lost(t, seen.unknown);
  });

  it('never claims more than is known, no matter what is cut, killed or cancelled', async () => {
    const said = new Map<string, number>();
    await check([...STEADY, ...RESTARTS, ...BREAKS, 'cancel'], false, (outcome) => {
      neverClaimsTooMuch(outcome);
      for (const request of outcome.requests) said.set(request.said, (said.get(request.said) ?? 0) + 1);
    });
    // Each result occurred.
    for (const word of ['done', 'ERR_NOT_PROCESSED', 'ERR_OUTCOME_UNKNOWN']) assert.ok(said.get(word)! > 0, word);
  });

  it('processes every request with a key exactly once, even with cuts, where the store outlives the server', async () => {
    let again = 0;
    await check([...STEADY, ...RESTARTS, ...BREAKS], true, (outcome) => {
      neverClaimsTooMuch(outcome);
      for (const { number, kind, said } of outcome.requests) {
        if (kind !== 'exactly once') continue;
        assert.equal(said, 'done', `request ${number}`);
        assert.equal(outcome.effects?.get(number), 1, `request ${number}`);
        if (outcome.processed.get(number)! > 1) again += 1;
      }
    });
    // Some were processed by a server that was killed before they had an effect.
    assert.ok(again > 0);
  });
});

describe('A client whose ids are used up', () => {
  it('makes a new connection, even if it sends one request after the other', async () => {
    const { requests, processed, connections } = await simulate(
      Array.from({ length: 30 }, () => STEADY_STEPS).flat(),
      true,
    );
    assert.equal(requests.length, 30);
    assert.deepEqual(
      [...processed.values()],
      Array.from({ length: 30 }, () => 1),
    );
    // Nine requests on each connection.
    assert.ok(connections >= 4, `${connections} connections`);
  });
});

/** Runs schedules made of these, and asserts that each ends. */
async function check(
  happenings: readonly Happening[],
  hasDatabase: boolean,
  judge: (outcome: Outcome, steps: readonly Step[]) => void,
): Promise<void> {
  const step = fc.record({ happens: fc.constantFrom(...happenings), pick: fc.nat(50), amount: fc.nat(1_500) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 120, size: 'max' }), async (steps) => {
      const outcome = await simulate(steps, hasDatabase);
      for (const { said, number } of outcome.requests)
        assert.notEqual(said, 'nothing', `request ${number} never ended`);
      assert.ok(outcome.clientsClosed, 'a client did not close');
      assert.equal(outcome.left, 0, 'the server has connections left');
      judge(outcome, steps);
    }),
    { numRuns: RUNS, examples: [[KILLED_IN_THE_MIDDLE.filter(({ happens }) => happenings.includes(happens))]] },
  );
}

function neverClaimsTooMuch({ requests, processed, effects }: Outcome): void {
  for (const { number, kind, said } of requests) {
    const times = processed.get(number) ?? 0;
    const text = `request ${number}, ${kind}: ${said}, processed ${times} times`;
    assert.notEqual(said, 'wrong reply', text);
    if (said === 'done') assert.ok(times >= 1, text);
    if (said === 'ERR_NOT_PROCESSED') assert.equal(times, 0, text);
    if (kind === 'plain') assert.ok(times <= 1, text);
    // Without a database a dead server leaves no memory, so no client may send the request to its successor.
    if (kind === 'exactly once') assert.ok((effects === undefined ? times : (effects.get(number) ?? 0)) <= 1, text);
    assert.ok(['done', 'ERR_NOT_PROCESSED', 'ERR_OUTCOME_UNKNOWN'].includes(said), text);
  }
}
