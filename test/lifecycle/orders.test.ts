import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test, type TestContext } from 'node:test';
import { LifeProcess } from './life-process.ts';
import { ORDERS, type Order } from './orders.ts';

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
    ORDERS.map(({ event, result }) => [event, result]),
  );
});

suite('every order of events has its documented result', { concurrency: 2 }, () => {
  for (const order of ORDERS) test(order.event, (t) => take(t, order));
});

async function take(t: TestContext, order: Order): Promise<void> {
  const service = new LifeProcess(t, order.config);
  const port = order.config?.listens === false ? 0 : await service.tells.next('port');
  await order.walk(service, port);
  const { code, signal, stderr, after } = await service.ended;
  assert.equal(signal ?? code, order.ends, stderr);
  if (order.stderr === undefined) assert.equal(stderr, '');
  else assert.match(stderr, order.stderr);
  if (order.outcome !== undefined && order.ends !== 'SIGTERM') {
    const report = await service.tells.next('report');
    assert.equal(report.outcome, order.outcome);
  }
  assert.ok(after <= order.within, `ended ${after} ms after the first signal`);
  assert.ok(after >= (order.notBefore ?? 0), `ended ${after} ms after the first signal already`);
}
