import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ask } from '../close/calls-servers.ts';
import { type Ended, startFixture } from '../harness/processes.ts';
import { REGISTER } from '../harness/start-service.ts';
import { within } from '../harness/wait.ts';
import type { RaisingSends } from '../fixtures/register/register-raising.ts';

// In ms. The deadline of 9 s is not needed.
const SOON = 3_000;

suite('a program whose own listener cleans up and raises the signal again', { timeout: 180_000 }, () => {
  // The signal is raised before or after 500 ms, from when on it counts as a second one.
  for (const takes of [50, 1_000]) {
    test(`dies of it with lastcall/register, after a drain of ${takes} ms`, async () => {
      const { answer, end, took } = await stopWhileAnswering(['--import', REGISTER], takes);
      assert.equal(answer, 'HTTP/1.1 200 OK');
      assert.deepEqual({ code: end.code, signal: end.signal }, { code: null, signal: 'SIGTERM' });
      assert.ok(took < takes + SOON, `it took ${took} ms`);
    });
  }

  test('control: without register it dies of it', async () => {
    const { answer, end } = await stopWhileAnswering([], 50);
    assert.deepEqual(
      { answer, code: end.code, signal: end.signal },
      { answer: 'HTTP/1.1 200 OK', code: null, signal: 'SIGTERM' },
    );
  });
});

async function stopWhileAnswering(
  execArgv: readonly string[],
  takes: number,
): Promise<{ answer: string; end: Ended; took: number }> {
  await using program = startFixture<RaisingSends>('register/register-raising', { args: [`${takes}`], execArgv });
  const { answer } = ask(await program.next('port'));
  await program.next('asked');
  const began = performance.now();
  program.signal('SIGTERM');
  const end = await within('the end of the program', program.ended);
  return { answer: await answer, end, took: performance.now() - began };
}
