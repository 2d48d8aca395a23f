import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { suite, test } from 'node:test';
import { makeAnotherCopy } from '../harness/another-copy.ts';
import type { Program } from '../harness/observed-program.ts';
import { portOf } from '../harness/ports.ts';
import { ENDED_WELL, startService } from '../harness/start-service.ts';
import type { Ended } from '../harness/observed-program.ts';
import { askOnce } from './one-request.ts';

const DIED = { code: null, signal: 'SIGTERM', stderr: '' };

suite('under register, a program without a server', { concurrency: 2 }, () => {
  for (const registration of ['--import', 'NODE_OPTIONS', 'none'] as const) {
    const control = registration === 'none' ? 'control, without register' : registration;
    test(`dies of SIGTERM by the signal (${control})`, async () => {
      await using program = startService('lifecycle/no-server', { registration });
      await program.next('waits');
      process.kill(program.pid, 'SIGTERM');
      assert.deepEqual(await program.ended, DIED);
    });
  }

  test('reads no variables', async () => {
    await using program = startService('lifecycle/no-server', {
      registration: '--import',
      env: { LASTCALL_DEADLINE: 'soon' },
    });
    await program.next('waits');
    process.kill(program.pid, 'SIGTERM');
    assert.deepEqual(await program.ended, DIED);
  });

  test('in the main thread, with one in a worker thread, dies of the signal, and no stop begins', async () => {
    await using program = startService('lifecycle/no-server', { registration: '--import', args: ['a thread'] });
    // The thread loads the imported modules too.
    await program.next('listening');
    process.kill(program.pid, 'SIGTERM');
    assert.deepEqual(await program.ended, DIED);
    assert.deepEqual(tellsOf(program), ['listening']);
  });

  test('that is the child of one with a server dies by the signal, and its parent serves on', async () => {
    await using program = startService('lifecycle/no-server', { registration: 'NODE_OPTIONS', args: ['a child'] });
    const { port = 0 } = await program.next('listening');
    const { pid } = await program.next('waits');
    process.kill(pid, 'SIGTERM');
    const { facts } = await program.next('child has ended');
    assert.deepEqual(facts, { code: null, signal: 'SIGTERM' });
    assert.match(await askOnce({ port, host: '127.0.0.1' }).answer, /200 OK/);
    process.kill(program.pid, 'SIGTERM');
    assert.deepEqual(await program.ended, ENDED_WELL);
    assert.equal(tellsOf(program).filter((tell) => tell === 'gate').length, 1);
  });
});

suite('under register, a variable', { concurrency: 2 }, () => {
  test('with a wrong value ends the program when its server listens, and stderr names what was expected', async () => {
    await using program = startStoppable({ LASTCALL_DEADLINE: 'soon' });
    const { code, stderr } = await program.ended;
    assert.equal(code, 1, stderr);
    const message = 'Expected `LASTCALL_DEADLINE` to be a duration such as `20s`, `500ms` or `1m`, got `soon`';
    assert.ok(stderr.includes(message), stderr);
    assert.ok(stderr.includes('ERR_ENVIRONMENT'), stderr);
  });

  test('with a value that its option does not accept ends the program too', async () => {
    await using program = startStoppable({ LASTCALL_NEW_CONNECTIONS: 'maybe' });
    const { code, stderr } = await program.ended;
    assert.equal(code, 1, stderr);
    assert.match(stderr, /Expected `newConnections` to be .*, got `maybe`/);
  });

  test('with an unknown name causes a warning, and the stop is as without it', async () => {
    await using program = startStoppable({ LASTCALL_DEDLINE: '20s' });
    const { code, stderr } = await stop(program);
    assert.equal(code, 0);
    assert.match(stderr, /LastCallWarning: LASTCALL_DEDLINE is unknown, expected one of LASTCALL_DEADLINE, /);
  });

  test('with an address for probes that is in use causes a warning, and the program serves', async () => {
    await using taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    await using program = startStoppable({ LASTCALL_READINESS_SERVER: `127.0.0.1:${portOf(taken)}` });
    const { port = 0 } = await program.next('listening');
    assert.match(await askOnce({ port, host: '127.0.0.1' }).answer, /200 OK/);
    process.kill(program.pid, 'SIGTERM');
    const { code, stderr } = await program.ended;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /LastCallWarning: the readiness server cannot listen: listen EADDRINUSE/);
  });

  test('with a right value is used: another signal stops the service', async () => {
    await using program = startStoppable({ LASTCALL_SIGNALS: 'SIGHUP' });
    assert.deepEqual(await stop(program, 'SIGHUP'), ENDED_WELL);
    assert.ok(tellsOf(program).includes('gate'));
  });

  test('control: without it that signal ends the process', async () => {
    await using program = startStoppable({});
    assert.deepEqual(await stop(program, 'SIGHUP'), { code: null, signal: 'SIGHUP', stderr: '' });
  });
});

suite('under register, a program that calls lastCall itself', { concurrency: 2 }, () => {
  for (const way of ['lastCall first', 'lastCall late']) {
    const when = `${way === 'lastCall first' ? 'before' : 'after'} it listens`;
    test(`has only its own stop: ${when}`, async () => {
      await using program = startService('lifecycle/signal-order', { registration: '--import', args: [way] });
      await hasOneStop(program);
    });

    test(`has only its own stop, if another copy of the package is registered: ${when}`, async () => {
      using copy = makeAnotherCopy();
      await using program = startService('lifecycle/signal-order', {
        imports: [copy.register],
        args: [way],
      });
      await hasOneStop(program);
    });
  }
});

async function hasOneStop(program: Program): Promise<void> {
  await program.next('has called');
  assert.deepEqual(await stop(program), ENDED_WELL);
  const states = program.history.filter(({ tell }) => tell === 'state').map(({ facts }) => facts?.state);
  assert.deepEqual(states, ['lame duck', 'closing', 'closed']);
  assert.equal(tellsOf(program).filter((tell) => tell === 'onDrained').length, 1);
  assert.equal(tellsOf(program).filter((tell) => tell === 'gate').length, 1);
}

function startStoppable(env: NodeJS.ProcessEnv): Program {
  return startService('lifecycle/stopped-service', { registration: '--import', env });
}

async function stop(program: Program, signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
  await program.next('listening');
  process.kill(program.pid, signal);
  return program.ended;
}

function tellsOf({ history }: Program): readonly string[] {
  return history.map(({ tell }) => tell);
}
