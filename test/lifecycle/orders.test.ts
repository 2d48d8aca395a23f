import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { takeOrder } from './order.ts';
import { PROGRAM_ORDERS } from './orders-of-programs.ts';
import { SIGNAL_ORDERS } from './orders-of-signals.ts';

test('docs/lifecycle.md has a row for each order of events, and no other', () => {
  const page = readFileSync(new URL('../../../docs/lifecycle.md', import.meta.url), 'utf8');
  const [, table = ''] = /^\| event .*\n\| -+ \|.*\n((?:\|.*\n)+)/m.exec(page) ?? [];
  const rows = table
    .trimEnd()
    .split('\n')
    .map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  assert.deepEqual(
    rows,
    [...SIGNAL_ORDERS, ...PROGRAM_ORDERS].map(({ event, result }) => [event, result]),
  );
});

suite('every order of signals has its documented result', { concurrency: 3 }, () => {
  for (const order of SIGNAL_ORDERS) test(order.event, () => takeOrder(order));
});
