import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { suite, test, type TestContext } from 'node:test';
import { ask } from '../close/calls-servers.ts';
import { fixture } from '../connection/programs.ts';

const REGISTER = new URL('../../lib/register.js', import.meta.url).href;
// Of the deadline nothing is needed: it is 9 s.
const SOON = 3_000;
suite('a program whose own listener cleans up and raises the signal again', { timeout: 30_000 }, () => {
  // The signal is raised before or after what comes for a second one, 500 ms after the first.
  for (const takes of [50, 1_000]) {
    test(`dies of it with lastcall/register, after a drain of ${takes} ms`, async (t) => {
      const { answer, end, took } = await stopWhileAnswering(t, ['--import', REGISTER], takes);
      assert.equal(answer, 'HTTP/1.1 200 OK');
      assert.deepEqual(end, [null, 'SIGTERM']);
      assert.ok(took < takes + SOON, `it took ${took} ms`);
    });
  }

  test('control: without register it dies of it', async (t) => {
    const { answer, end } = await stopWhileAnswering(t, [], 50);
    assert.deepEqual([answer, end], ['HTTP/1.1 200 OK', [null, 'SIGTERM']]);
  });
});

async function stopWhileAnswering(
  t: TestContext,
  execArgv: readonly string[],
  takes: number,
): Promise<{ answer: string; end: readonly unknown[]; took: number }> {
  const child = fork(fixture('register/register-raising'), [`${takes}`], { execArgv: [...execArgv] });
  t.after(() => child.kill('SIGKILL'));
  const [{ port }] = await once(child, 'message');
  const asked = once(child, 'message');
  const { answer } = ask(port);
  await asked;
  const [began, end] = [performance.now(), once(child, 'exit')];
  child.kill('SIGTERM');
  return { answer: await answer, end: await end, took: performance.now() - began };
}
