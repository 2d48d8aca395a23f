import assert from 'node:assert/strict';
import { before, describe, it, type TestContext } from 'node:test';
import type { LeakFacts, LeakSetup } from '../fixtures/connection/leak-closes.ts';
import { count } from '../harness/counts.ts';
import { startFixture } from '../harness/processes.ts';

const CLOSES = count(1_000, 200);
/** What a kept report takes at the least is twice this; the heap of the same closes without lastcall varies by a third. */
const BYTES_PER_CLOSE = 250;
/** Code that is compiled as it gets hot grows for thousands of closes, and would hide what a close keeps. */
const STEADY_HEAP = ['--expose-gc', '--no-opt', '--no-sparkplug', '--no-flush-bytecode'];
/** They are told of all the same, by an event. */
const QUIETLY = '--no-warnings';

describe(`${CLOSES} closes, some of them side by side, with connections of every kind`, { timeout: 600_000 }, () => {
  let graceful: LeakFacts;
  let plain: LeakFacts;

  before(async () => {
    graceful = await closeManyTimes({ how: 'gracefulClose', closes: CLOSES, keeps: [] });
    plain = await closeManyTimes({ how: 'plain', closes: CLOSES, keeps: [] });
  });

  it('leave no descriptor, timer, listener, subscriber, socket or wrapped method behind', () => {
    assert.deepEqual(moreOf(graceful), {});
    assert.deepEqual(graceful.warnings, []);
    // The path was walked: every kind of server has two connections or more.
    assert.ok(graceful.connections >= 2 * CLOSES, `${graceful.connections} connections`);
  });

  it('leave no more on the heap than those without lastcall', (t) => {
    const more = bytesPerClose(graceful) - bytesPerClose(plain);
    tellBytes(t, { graceful, plain });
    assert.ok(more < BYTES_PER_CLOSE, `${Math.round(more)} bytes a close`);
  });

  it('keep no server', () => assert.equal(graceful.serversKept, 0));

  it('control: a report that is kept of each is seen on the heap', async (t) => {
    const keeping = await closeManyTimes({ how: 'gracefulClose', closes: CLOSES, keeps: ['report'] });
    tellBytes(t, { keeping });
    assert.ok(bytesPerClose(keeping) - bytesPerClose(plain) > BYTES_PER_CLOSE);
  });

  it('control: whatever else is kept of each is counted', async () => {
    const closes = 20;
    const keeps = ['descriptor', 'listener', 'server', 'subscriber', 'timer', 'writeHead'] as const;
    const keeping = await closeManyTimes({ how: 'gracefulClose', closes, keeps });
    const more = moreOf(keeping);
    const each = [
      'descriptor of /dev/null',
      'process listeners for leak',
      'subscribers of net.server.socket',
      'timers',
    ];
    for (const name of [...each, 'server objects']) assert.ok((more[name] ?? 0) >= closes, `${name}: ${more[name]}`);
    assert.equal(keeping.after['changed http.ServerResponse.writeHead'], 1);
    assert.ok(keeping.serversKept >= closes);
    assert.ok(keeping.warnings.some((warning) => warning.startsWith('MaxListenersExceededWarning')));
  });
});

/** In a process of its own. */
async function closeManyTimes(setup: LeakSetup): Promise<LeakFacts> {
  await using closing = startFixture<{ readonly facts: LeakFacts }>('connection/leak-closes', {
    args: [JSON.stringify(setup)],
    execArgv: [...STEADY_HEAP, QUIETLY],
  });
  return await closing.next('facts', { limit: 300_000 });
}

/** What there is more of than before, and how much. */
function moreOf({ before, after }: LeakFacts): Readonly<Record<string, number>> {
  const more = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(more.filter(([, count]) => count > 0));
}

/** The median of the slopes between any two points (Theil and Sen), which one odd collection does not move. */
function bytesPerClose({ heap }: LeakFacts): number {
  const slopes = heap.flatMap(([closes, bytes], index) =>
    heap.slice(index + 1).map(([later, more]) => (more - bytes) / (later - closes)),
  );
  return slopes.toSorted((a, b) => a - b)[Math.floor(slopes.length / 2)] ?? 0;
}

function tellBytes(t: TestContext, runs: Readonly<Record<string, LeakFacts>>): void {
  const words = Object.entries(runs).map(([name, facts]) => `${name} ${Math.round(bytesPerClose(facts))}`);
  t.diagnostic(`bytes a close: ${words.join(', ')}`);
}
