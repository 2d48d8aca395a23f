import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Program } from '../harness/observed-program.ts';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL, startService } from '../harness/start-service.ts';

/** Its option before Node 23.5 was another one. */
const PERMISSION = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission';
const PERMISSION_MODEL = [PERMISSION, '--allow-fs-read=*', '--allow-fs-write=*', '--allow-addons'];

suite('a signal that comes before the listeners of the program can be held', { concurrency: 2 }, () => {
  const proof = prove('what listeners do that were called before lastcall could hold them');

  test('calls each of them once, and the exit waits for what they do', async (t) => {
    await using program = startService('lifecycle/signalled-at-once', { args: ['holds'] });
    await program.next('store is called');
    await program.next('stopped');
    process.kill(program.pid, 'SIGUSR2');
    assert.deepEqual(await program.ended, ENDED_WELL);
    const seen = tellsOf(program, ['flush is called', 'store is called', 'flushed', 'stored']);
    assert.deepEqual(seen, ['flush is called', 'store is called', 'flushed', 'stored']);
    proof.held(t, { listeners: 2 });
  });

  test('control: without holdListeners the exit does not wait, and the report names them', async (t) => {
    await using program = startService('lifecycle/signalled-at-once');
    const { facts } = await program.next('stopped');
    assert.equal(facts?.outcome, 'forced');
    assert.match(String(facts?.doubts), /the exit cuts what listeners of the program still do: `flush`.*, `store`/);
    assert.equal((await program.ended).code, 0);
    assert.deepEqual(tellsOf(program, ['flush is called', 'store is called', 'flushed', 'stored']), [
      'flush is called',
      'store is called',
    ]);
    proof.lost(t, 2);
  });
});

suite('a signal that comes while the listeners of the program change hands', { concurrency: 2 }, () => {
  const proof = prove('a signal between the look of the loop and the change of its listeners');
  const args = ['holds', 'in between'];

  test('stops the service', async (t) => {
    await using program = startService('lifecycle/signalled-at-once', { args });
    await program.next('ten turns later');
    assert.ok(tellsOf(program, ['state']).length > 0);
    await program.next('store is called');
    process.kill(program.pid, 'SIGUSR2');
    assert.deepEqual(await program.ended, ENDED_WELL);
    proof.held(t, { signals: 1 });
  });

  test('control: is forgotten where Node gives no second handle for the signal', async (t) => {
    // Under the permission model there is no `process.binding`.
    await using program = startService('lifecycle/signalled-at-once', { args, execArgv: PERMISSION_MODEL });
    await program.next('ten turns later');
    assert.deepEqual(tellsOf(program, ['state']), []);
    proof.lost(t, 1);
  });
});

suite('a signal that waits for its turn while a program under register calls lastCall', () => {
  const proof = prove('a signal that waits while another service takes over');

  test('stops the service', async (t) => {
    await using program = startService('lifecycle/called-while-signalled', { registration: '--import' });
    assert.deepEqual(await program.ended, ENDED_WELL);
    assert.ok(tellsOf(program, ['state']).length > 0);
    proof.held(t, { signals: 1 });
  });

  test('control: is forgotten by Node where one listener goes before another one comes', async (t) => {
    await using program = startService('lifecycle/called-while-signalled', { args: ['plain'] });
    await program.next('ten turns later');
    assert.deepEqual(tellsOf(program, ['the first has heard it', 'the second has heard it']), []);
    proof.lost(t, 1);
  });
});

function tellsOf({ history }: Program, names: readonly string[]): readonly string[] {
  return history.map(({ tell }) => tell).filter((tell) => names.includes(tell));
}
