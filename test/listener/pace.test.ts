import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace, pauseAfter } from '../../src/pace.ts';

test('after a look comes a pause of nineteen times its length', () => {
  assert.equal(pauseAfter(10), 190);
  assert.equal(pauseAfter(0.01, 5), 5);
});

test('looks that come too early delay the next one by so much more', () => {
  const pace = new Pace();
  assert.equal(pace.wait, 0);
  pace.note(10);
  pace.note(10);
  assert.ok(pace.wait > 300 && pace.wait <= 380, `${pace.wait}`);
});

test('a look is measured by the time of the processor that it has taken', () => {
  const pace = new Pace();
  const answer = pace.measure(() => {
    const { user } = process.cpuUsage();
    while (process.cpuUsage().user - user < 20_000);
    return 'seen';
  });
  assert.equal(answer, 'seen');
  assert.ok(pace.wait > 300, `${pace.wait}`);
});

test('a look that waits for something costs nothing', () => {
  const pace = new Pace();
  pace.measure(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100));
  assert.ok(pace.wait < 500, `${pace.wait}`);
});

test('a look that throws is measured, too', () => {
  const pace = new Pace();
  assert.throws(() =>
    pace.measure(() => {
      const { user } = process.cpuUsage();
      while (process.cpuUsage().user - user < 20_000);
      throw new Error('nothing to see');
    }),
  );
  assert.ok(pace.wait > 300, `${pace.wait}`);
});
