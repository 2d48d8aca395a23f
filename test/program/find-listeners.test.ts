import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { findListeners } from '../../src/program/find/find-listeners.ts';
import { startFixture } from '../harness/processes.ts';
import { Scope } from '../harness/scope.ts';
import { startForeign } from './foreign-program-driver.ts';

const LISTENERS = 300;
const HOLDERS = 5;
/** In ms. */
const ENOUGH = 60_000;

suite('a program with 300 listeners beside processes that hold 20,000 descriptors', () => {
  test('is known to share none after one search', async (t) => {
    await using scope = new Scope();
    const listen = Array.from({ length: LISTENERS }, () => ({ port: 0, host: '127.0.0.1' }));
    const running = scope.use(await startForeign({ listen }));
    await startHolders(scope);
    const began = performance.now();
    const { listeners } = findListeners(running.pid, { searchLimit: ENOUGH });
    t.diagnostic(`the search took ${Math.round(performance.now() - began)} ms`);
    const reasons = new Set(listeners.map(({ sharedBecause }) => sharedBecause));
    assert.deepEqual({ count: listeners.length, reasons }, { count: LISTENERS, reasons: new Set([undefined]) });
  });

  test('counts as sharing all of them if there is no time for the search', async () => {
    await using running = await startForeign({ listen: [{ port: 0, host: '127.0.0.1' }] });
    const { listeners } = findListeners(running.pid, { searchLimit: 0 });
    assert.deepEqual(
      listeners.map(({ sharedBecause }) => sharedBecause),
      ['the search for other holders took longer than 0 ms'],
    );
  });

  test('is not searched for again where the other holders are known', async () => {
    await using running = await startForeign({ listen: [{ port: 0, host: '127.0.0.1' }] });
    const [listener] = findListeners(running.pid, { searchLimit: 0 }).listeners;
    const known = new Set([listener?.socket.inode ?? 0]);
    const { listeners } = findListeners(running.pid, { searchLimit: 0, known });
    assert.deepEqual(
      listeners.map(({ sharedBecause }) => sharedBecause),
      [undefined],
    );
  });
});

async function startHolders(scope: Scope): Promise<void> {
  const holders = Array.from({ length: HOLDERS }, () =>
    scope.use(startFixture<{ readonly holding: number }>('sharing/share-beside-many', { args: ['holder'] })),
  );
  await Promise.all(holders.map((holder) => holder.next('holding')));
}
