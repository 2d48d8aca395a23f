import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL, startService } from '../harness/start-service.ts';

suite("two services of a process, and the program's own listener of SIGTERM", { concurrency: 2 }, () => {
  const proof = prove('what a listener stores that only one of two services holds');

  for (const services of [
    ['holds', 'does not'],
    ['does not', 'holds'],
    ['holds', 'holds'],
  ]) {
    test(`it is called once, and waited for: one ${services.join(', the other ')}`, async (t) => {
      await using program = startService('lifecycle/two-services', { args: services });
      await program.next('both listen');
      process.kill(program.pid, 'SIGTERM');
      await program.next('listener');
      process.kill(program.pid, 'SIGUSR2');
      assert.deepEqual(await program.ended, ENDED_WELL);
      const tells = program.history.map(({ tell }) => tell);
      const ends = tells.filter((tell) => ['stopped', 'listener', 'flushed'].includes(tell));
      assert.deepEqual(ends, ['stopped', 'stopped', 'listener', 'flushed']);
      proof.held(t, { listeners: 1 });
    });
  }

  test('control: it is cut if none of them holds it', async (t) => {
    await using program = startService('lifecycle/two-services', { args: ['does not', 'does not'] });
    await program.next('both listen');
    process.kill(program.pid, 'SIGTERM');
    const { code, stderr } = await program.ended;
    assert.equal(code, 0);
    assert.match(stderr, /the exit does not wait for the program's own listeners of SIGTERM/);
    assert.ok(!program.history.some(({ tell }) => tell === 'flushed'));
    proof.lost(t, 1);
  });

  test('it is called once in the drain, too, if both hold it', async () => {
    await using program = startService('lifecycle/two-services', { args: ['holds', 'holds', 'polls'] });
    await program.next('both listen');
    process.kill(program.pid, 'SIGTERM');
    await program.next('stopped');
    process.kill(program.pid, 'SIGUSR2');
    assert.deepEqual(await program.ended, ENDED_WELL);
    assert.equal(program.history.filter(({ tell }) => tell === 'listener').length, 1);
  });
});
