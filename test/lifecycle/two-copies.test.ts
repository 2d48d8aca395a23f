import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { makeAnotherCopy } from '../harness/another-copy.ts';
import type { Ended } from '../harness/observed-program.ts';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL, startService } from '../harness/start-service.ts';
import { askOnce } from './one-request.ts';

suite('two copies of lastcall in one process', { concurrency: 2 }, () => {
  const proof = prove('a client of the second of two copies of lastcall, when the first one has finished');

  for (const how of ['each its own server', 'both both servers', 'both all servers']) {
    test(`stop together, and the last one exits: they have ${how}`, async (t) => {
      const { answer, ended, tells } = await stop(how);
      assert.equal(answer, 'HTTP/1.1 200 OK');
      assert.deepEqual(ended, ENDED_WELL);
      assert.deepEqual(tells.filter((tell) => tell === 'first' || tell === 'second').toSorted(), ['first', 'second']);
      proof.held(t, { 'under way': 1 });
    });
  }

  test("call the program's own listeners once, when both have drained", async (t) => {
    const { answer, ended, tells } = await stop('both hold listeners');
    assert.equal(answer, 'HTTP/1.1 200 OK');
    assert.deepEqual(ended, ENDED_WELL);
    const order = ['first', 'second', 'listener'];
    assert.deepEqual(
      tells.filter((tell) => order.includes(tell)),
      order,
    );
    proof.held(t, { 'under way': 1 });
  });

  test('control: the client is cut if the first one exits by itself', async (t) => {
    const { answer } = await stop('the first one exits');
    assert.notEqual(answer, 'HTTP/1.1 200 OK');
    proof.lost(t, 1);
  });
});

interface Stopped {
  readonly answer: string;
  readonly ended: Ended;
  readonly tells: readonly string[];
}

/** Stops the program while a client waits at the second server. It is answered when the first service could have exited. */
async function stop(how: string): Promise<Stopped> {
  using copy = makeAnotherCopy();
  await using program = startService('lifecycle/two-copies', { args: [copy.index, how] });
  const { port = 0 } = await program.next('ready');
  using client = askOnce({ port, host: '127.0.0.1' });
  await program.next('asked');
  process.kill(program.pid, 'SIGTERM');
  if (how === 'each its own server' || how === 'both hold listeners') await program.next('first');
  // Of two services of one server, none has drained it before its client has gone.
  else if (how !== 'the first one exits') await program.next('gate');
  if (how !== 'the first one exits') process.kill(program.pid, 'SIGUSR2');
  return {
    answer: await client.answer,
    ended: await program.ended,
    tells: program.history.map(({ tell }) => tell),
  };
}
