import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Program } from '../harness/observed-program.ts';
import { fixture } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL, startService } from '../harness/start-service.ts';
import { askOnce } from '../lifecycle/one-request.ts';

suite('the module that LASTCALL_ON_DRAIN names', { concurrency: 2 }, () => {
  const proof = prove('a long poll that only the module of LASTCALL_ON_DRAIN ends');

  test('ends a long poll as soon as the gate is shut', async (t) => {
    await using program = start('register/on-drain', '60s');
    const poll = await begin(program);
    process.kill(program.pid, 'SIGTERM');
    assert.equal(await poll.body, 'closing\n');
    assert.deepEqual(await program.ended, ENDED_WELL);
    proof.held(t, { polls: 1 });
  });

  test('control: without it the poll is cut at the deadline', async (t) => {
    await using program = start(undefined, '1s');
    const poll = await begin(program);
    process.kill(program.pid, 'SIGTERM');
    assert.notEqual(await poll.body, 'closing\n');
    const { report } = await program.next('report');
    assert.equal(report?.outcome, 'forced');
    proof.lost(t, report.connections.cut.length);
  });

  for (const [title, name, message] of [
    [
      'has no function as its default export',
      'register/on-drain-wrong',
      /Expected the default export of `LASTCALL_ON_DRAIN` to be a function, got `\[object Object\]`/,
    ],
    [
      'cannot be evaluated',
      'register/on-drain-throws',
      /`LASTCALL_ON_DRAIN`: file:.*on-drain-throws\.js could not be loaded[^]*no such pool/,
    ],
    [
      'is not there',
      'register/no-such-module',
      /Expected `LASTCALL_ON_DRAIN` to be the path of a module such as `.\/drain.mjs`, got/,
    ],
  ] as const) {
    test(`ends the program when its server listens, if it ${title}; stderr says why`, async () => {
      await using program = start(name, '60s');
      const { code, stderr } = await program.ended;
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.match(stderr, /ERR_ENVIRONMENT/);
    });
  }
});

function start(module: string | undefined, deadline: string): Program {
  const env = { LASTCALL_DEADLINE: deadline, ...(module === undefined ? {} : { LASTCALL_ON_DRAIN: fixture(module) }) };
  return startService('lifecycle/held-listener', { registration: '--import', args: ['register'], env });
}

async function begin(program: Program): Promise<{ readonly body: Promise<string> }> {
  const { port = 0 } = await program.next('listening');
  const request = askOnce({ port, host: '127.0.0.1' }, { path: '/poll' });
  await program.next('asked for /poll');
  return request;
}
