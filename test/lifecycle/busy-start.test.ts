import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { startService } from '../harness/start-service.ts';

// Node keeps a signal until its loop turns, and forgets it if the last listener goes before that.

suite('SIGTERM while a program with a listener of its own starts, and its event loop is busy', () => {
  for (const how of ['lastCall', 'holdListeners']) {
    test(`is heard, with ${how}: the service stops`, async () => {
      const { code, tells } = await stopWhileStarting(how);
      assert.deepEqual({ code, isHeard: tells.includes('listener') }, { code: 0, isHeard: true });
    });
  }

  test('control: it is heard without lastcall', async () => {
    const { code, tells } = await stopWhileStarting('nobody');
    assert.deepEqual({ code, isHeard: tells.includes('listener') }, { code: 0, isHeard: true });
  });
});

async function stopWhileStarting(
  how: string,
): Promise<{ readonly code: number | null; readonly tells: readonly string[] }> {
  await using program = startService('lifecycle/busy-start', { args: [how] });
  const { code } = await program.ended;
  return { code, tells: program.history.map(({ tell }) => tell) };
}
