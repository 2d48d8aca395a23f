import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fixture, isAlive, startCommand, type TestProcess } from '../harness/processes.ts';
import { Scope } from '../harness/scope.ts';
import { until } from '../harness/wait.ts';

/** A process with a watchdog, which was started by `running`. */
interface Watched {
  readonly running: TestProcess;
  readonly target: number;
  readonly watchdog: number;
}

async function startWatched(scope: Scope, ...args: readonly string[]): Promise<Watched> {
  const running = scope.use(startCommand([process.execPath, fixture('program/with-watchdog'), ...args]));
  const [, target, watchdog] = await running.prints(/^target (\d+) watchdog (\d+)$/m);
  scope.defer(() => killGroup(Number(target)));
  return { running, target: Number(target), watchdog: Number(watchdog) };
}

async function untilGone(what: string, pid: number): Promise<void> {
  await until(`${what} is gone`, () => !isAlive(pid));
}

// One of them waits for the watchdog, which waits for 5 s.
suite('a watchdog', { concurrency: true }, () => {
  test('sends the signal if the process that started it is killed', async () => {
    await using scope = new Scope();
    const { running, target, watchdog } = await startWatched(scope);
    running.signal('SIGKILL');
    await untilGone('the target', target);
    await untilGone('the watchdog', watchdog);
  });

  test('kills a target that ignores the signal, if it may', async () => {
    await using scope = new Scope();
    const { running, target } = await startWatched(scope, 'kills');
    running.signal('SIGKILL');
    await untilGone('the target', target);
  });

  test('ends and does nothing when it is dismissed', async () => {
    await using scope = new Scope();
    const { running, target, watchdog } = await startWatched(scope);
    running.write('done\n');
    assert.equal((await running.ended).code, 0);
    await untilGone('the watchdog', watchdog);
    assert.equal(isAlive(target), true);
  });
});

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone.
  }
}
