import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cut } from '../../src/cli/terminal/full-screen.ts';
import { sparkline, squeeze } from '../../src/cli/terminal/sparkline.ts';

test('a number is a block of its height, zero is a space, and small numbers are visible', () => {
  assert.equal(sparkline([0, 1, 50, 100]), ' ▁▄█');
  assert.equal(sparkline([0, 0]), '  ');
  assert.equal(sparkline([5, 10], 20), '▂▄');
});

test('if there are more numbers than columns, the largest of each stretch is kept, the newest last', () => {
  assert.deepEqual(squeeze([1, 9, 2, 3, 0, 7], 3), [9, 3, 7]);
  assert.deepEqual(squeeze([4, 5], 4), [0, 0, 4, 5]);
  assert.deepEqual(squeeze([1, 2, 3], 2), [1, 3]);
});

test('a line is cut to the columns of the screen; colours take no column, and are closed', () => {
  assert.equal(cut('\x1b[33mabc\x1b[39mdef', 4), '\x1b[33mabc\x1b[39md');
  assert.equal(cut('\x1b[33mabc\x1b[39m', 2), '\x1b[33mab\x1b[39m');
  assert.equal(cut('▁█x', 2), '▁█');
});
