import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fixture, isAlive, startCommand, type TestProcess } from '../harness/processes.ts';
import { Scope } from '../harness/scope.ts';
import { until } from '../harness/wait.ts';

interface Kept {
  readonly running: TestProcess;
  readonly kept: number;
  readonly keeper: number;
}

async function startKept(scope: Scope, ...args: readonly string[]): Promise<Kept> {
  const running = scope.use(startCommand([process.execPath, fixture('program/with-keeper'), ...args]));
  const [, kept, keeper] = await running.prints(/^kept (\d+) by (\d+)$/m);
  scope.defer(() => killGroup(Number(kept)));
  return { running, kept: Number(kept), keeper: Number(keeper) };
}

async function untilGone(what: string, pid: number): Promise<void> {
  await until(`${what} has gone`, () => !isAlive(pid));
}

// One of them waits for the keeper, which waits for 5 s.
suite('a keeper', { concurrency: true }, () => {
  test('whoever is killed leaves the signal to the keeper', async () => {
    await using scope = new Scope();
    const { running, kept, keeper } = await startKept(scope);
    running.signal('SIGKILL');
    await untilGone('the kept process', kept);
    await untilGone('the keeper', keeper);
  });

  test('one that ignores the signal is killed, where that was agreed', async () => {
    await using scope = new Scope();
    const { running, kept } = await startKept(scope, 'kills');
    running.signal('SIGKILL');
    await untilGone('the kept process', kept);
  });

  test('a keeper that is dismissed goes, and does nothing', async () => {
    await using scope = new Scope();
    const { running, kept, keeper } = await startKept(scope);
    running.write('done\n');
    assert.equal((await running.ended).code, 0);
    await untilGone('the keeper', keeper);
    assert.equal(isAlive(kept), true);
  });
});

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody of it is left.
  }
}
