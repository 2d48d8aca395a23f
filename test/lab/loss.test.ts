import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Loss } from './loss.ts';

const fates = (share: number, seed: number, count = 10_000): boolean[] => {
  const loss = new Loss(share, seed);
  return Array.from({ length: count }, () => loss.takesNext());
};

test('the same seed loses the same packets, another seed others', () => {
  assert.deepEqual(fates(0.05, 7), fates(0.05, 7));
  assert.notDeepEqual(fates(0.05, 7), fates(0.05, 8));
});

test('as many are lost as the share says', () => {
  for (const share of [0.01, 0.05, 0.5]) {
    const lost = fates(share, 1).filter(Boolean).length / 10_000;
    assert.ok(Math.abs(lost - share) < 0.02, `${lost} of ${share}`);
  }
});

test('a share of 0 loses none, of 1 all', () => {
  assert.ok(!fates(0, 1).includes(true));
  assert.ok(!fates(1, 1).includes(false));
  assert.equal(new Loss(0, 1).isPossible, false);
});
