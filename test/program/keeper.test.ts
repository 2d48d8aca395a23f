import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isAlive } from './foreign-program.ts';
import { start, type Started } from '../harness/lastcall-command.ts';

const FIXTURE = fileURLToPath(new URL('../fixtures/program/with-keeper.js', import.meta.url));

async function startKept(
  t: TestContext,
  ...args: readonly string[]
): Promise<Started & { readonly kept: number; readonly keeper: number }> {
  const running = start(t, [process.execPath, FIXTURE, ...args]);
  const [, kept, keeper] = await running.says(/^kept (\d+) by (\d+)$/m);
  t.after(() => killGroup(Number(kept)));
  return { ...running, kept: Number(kept), keeper: Number(keeper) };
}

async function untilGone(t: TestContext, pid: number): Promise<void> {
  while (isAlive(pid)) await sleep(5, undefined, { signal: t.signal });
}

test('whoever is killed leaves the signal to the keeper', async (t) => {
  const { pid, kept, keeper } = await startKept(t);
  process.kill(pid, 'SIGKILL');
  await untilGone(t, kept);
  await untilGone(t, keeper);
});

test('one that ignores the signal is killed, where that was agreed', async (t) => {
  const { pid, kept } = await startKept(t, 'kills');
  process.kill(pid, 'SIGKILL');
  await untilGone(t, kept);
});

test('a keeper that is dismissed goes, and does nothing', async (t) => {
  const { write, ended, kept, keeper } = await startKept(t);
  write('done\n');
  assert.equal((await ended).code, 0);
  await untilGone(t, keeper);
  assert.equal(isAlive(kept), true);
});

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody of it is left.
  }
}
