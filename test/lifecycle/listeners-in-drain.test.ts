import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Program } from '../harness/observed-program.ts';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL, startService } from '../harness/start-service.ts';
import { askOnce, type OneRequest } from './one-request.ts';

/** Nothing has moved for so long: the drain stands still. */
const STILL = { LASTCALL_IDLE_WAIT: '200ms', LASTCALL_DEADLINE: '60s' };
/** It never stands still before half of its time is over. */
const HALF = { LASTCALL_IDLE_WAIT: '60s', LASTCALL_DEADLINE: '3s' };

suite("under register, a program's own listener of SIGTERM that ends long polls", { concurrency: 2 }, () => {
  const proof = prove("a long poll that only the program's own listener of SIGTERM ends");

  for (const [title, env] of [
    ['when nothing moves any more', STILL],
    ['when half of the time for the drain is over', HALF],
  ] as const) {
    test(`is called ${title}, and a poll gets its answer`, async (t) => {
      await using program = startProgram(['polls'], { ...env, LASTCALL_LISTENER_WAIT: '0s' });
      using poll = await begin(program, '/poll');
      process.kill(program.pid, 'SIGTERM');
      assert.equal(await poll.body, 'closing\n');
      const { report } = await program.next('report');
      assert.equal(report?.outcome, 'complete');
      assert.deepEqual(await program.ended, ENDED_WELL);
      proof.held(t, { polls: 1 });
    });
  }

  test('control: a poll that it leaves alone is cut at the deadline, and the report says so', async (t) => {
    await using program = startProgram(['returns nothing'], HALF);
    using poll = await begin(program, '/poll');
    process.kill(program.pid, 'SIGTERM');
    const { report } = await program.next('report');
    assert.equal(report?.outcome, 'forced');
    assert.notEqual(await poll.body, 'closing\n');
    proof.lost(t, report.connections.cut.length);
  });

  test('is called after the drain if all clients have their answers before', async () => {
    await using program = startProgram(['polls'], { LASTCALL_IDLE_WAIT: '60s', LASTCALL_LISTENER_WAIT: '0s' });
    using slow = await begin(program, '/slow');
    process.kill(program.pid, 'SIGTERM');
    await program.next('gate');
    process.kill(program.pid, 'SIGUSR1');
    assert.match(await slow.answer, /200 OK/);
    assert.deepEqual(await program.ended, ENDED_WELL);
    assert.deepEqual(eventsOf(program, ['report', 'listener polls']), ['report', 'listener polls']);
  });
});

suite("under register, a program's own listener of SIGTERM that is called while a client waits", () => {
  const proof = prove("a client who waits while the program's own listener of SIGTERM ends the process");

  for (const way of ['flushes', 'once flushes']) {
    test(`is waited for after the drain: it ${way}`, async () => {
      await using program = startProgram([way], STILL);
      using slow = await begin(program, '/slow');
      process.kill(program.pid, 'SIGTERM');
      await program.next('listener flushes');
      process.kill(program.pid, 'SIGUSR1');
      assert.match(await slow.answer, /200 OK/);
      await program.next('report');
      process.kill(program.pid, 'SIGUSR2');
      assert.deepEqual(await program.ended, ENDED_WELL);
      assert.deepEqual(eventsOf(program, ['report', 'flushed']), ['report', 'flushed']);
    });
  }

  for (const [title, way, end] of [
    ['calls process.exit()', 'exits', { code: 7, signal: null }],
    ['raises the signal again', 'raises it again', { code: null, signal: 'SIGTERM' }],
  ] as const) {
    test(`ends the process only after the answer: it ${title}`, async (t) => {
      await using program = startProgram([way], STILL);
      using slow = await begin(program, '/slow');
      process.kill(program.pid, 'SIGTERM');
      await program.next(`listener ${way}`);
      process.kill(program.pid, 'SIGUSR1');
      assert.match(await slow.answer, /200 OK/);
      assert.deepEqual(await program.ended, { ...end, stderr: '' });
      assert.deepEqual(eventsOf(program, ['report', `listener ${way}`]), [`listener ${way}`, 'report']);
      proof.held(t, { 'under way': 1 });
    });

    test(`control: ends it at once without register: it ${title}`, async (t) => {
      await using program = startProgram([way], {}, 'none');
      using slow = await begin(program, '/slow');
      process.kill(program.pid, 'SIGTERM');
      const { code, signal } = await program.ended;
      assert.deepEqual({ code, signal }, end);
      assert.doesNotMatch(await slow.answer, /200 OK/);
      proof.lost(t, 1);
    });
  }
});

function startProgram(
  ways: readonly string[],
  env: NodeJS.ProcessEnv,
  registration: '--import' | 'none' = '--import',
): Program {
  return startService('lifecycle/held-listener', { registration, args: ['register', ...ways], env });
}

/** A request that the program has, and has not answered. */
async function begin(program: Program, path: string): Promise<OneRequest> {
  const { port = 0 } = await program.next('listening');
  const request = askOnce({ port, host: '127.0.0.1' }, { path });
  await program.next(`asked for ${path}`);
  return request;
}

function eventsOf({ history }: Program, names: readonly string[]): readonly string[] {
  return history.map(({ tell }) => tell).filter((tell) => names.includes(tell));
}
