import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { COOKIE_LIFETIME, type CookieSample, CookieSamples } from '../../src/listener/syn-cookie-samples.ts';

const MINUTE = 60_000;

function sampleAt(at: number, sent: number): CookieSample {
  return { at, cookies: { sent, received: 0 }, drops: 0 };
}

test('a listener younger than a cookie can be is held against its first sample', () => {
  const samples = new CookieSamples();
  assert.equal(samples.before(0), undefined);
  samples.add(sampleAt(0, 5));
  samples.add(sampleAt(MINUTE, 6));
  assert.equal(samples.before(MINUTE + 1)?.cookies?.sent, 5);
  assert.equal(samples.before(2 * MINUTE - 1)?.cookies?.sent, 5);
});

test('cookies of a flood that is longer ago than a cookie is good for are not held against a close; those of a recent one are', () => {
  const samples = new CookieSamples();
  samples.add(sampleAt(0, 0));
  // The flood: 900 cookies between the first and the second minute.
  for (let minute = 1; minute <= 10; minute++) samples.add(sampleAt(minute * MINUTE, minute >= 2 ? 900 : 0));
  assert.equal(samples.before(10 * MINUTE)?.cookies?.sent, 900);
  samples.add(sampleAt(11 * MINUTE, 1_700));
  assert.equal(samples.before(11 * MINUTE)?.cookies?.sent, 900);
  assert.equal(samples.before(12.9 * MINUTE)?.cookies?.sent, 900);
  assert.equal(samples.before(13 * MINUTE)?.cookies?.sent, 1_700);
});

test('whenever samples were taken, no cookie that can still come back is older than the one held against a close', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 30 }), (gaps) => {
      const samples = new CookieSamples();
      const times = gaps.map((_, index) => gaps.slice(0, index + 1).reduce((sum, gap) => sum + gap, 0));
      for (const at of times) {
        samples.add(sampleAt(at, at));
        const expected = times.findLast((time) => time <= at - COOKIE_LIFETIME) ?? times[0];
        assert.equal(samples.before(at)?.at, expected);
      }
    }),
  );
});
