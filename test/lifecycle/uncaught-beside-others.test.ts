import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Ended } from '../harness/observed-program.ts';
import { prove } from '../harness/proof.ts';
import { startService } from '../harness/start-service.ts';
import { askOnce } from './one-request.ts';

suite('an uncaught error of a service', { concurrency: 2 }, () => {
  for (const beside of [
    'source-map-support before',
    'source-map-support after',
    'signal-exit 3 before',
    'signal-exit 3 unloaded',
    'node:domain',
  ]) {
    const proof = prove(`a request under way at an uncaught error beside ${beside}`);

    test(`leaves a request under way to its end, and the exit code and the message are Node's: ${beside}`, async (t) => {
      const { answer, code, stderr } = await throwBeside(beside, 'lastcall');
      assert.deepEqual({ answer, code }, { answer: 'HTTP/1.1 200 OK', code: 1 });
      assert.match(stderr, /^Error: boom\n {4}at Immediate.fail [^]*\n\nNode\.js v\d[^\n]*\n$/);
      proof.held(t, { 'under way': 1 });
    });

    test(`control: cuts it without lastcall: ${beside}`, async (t) => {
      const { answer, code, stderr } = await throwBeside(beside, 'none');
      assert.notEqual(answer, 'HTTP/1.1 200 OK');
      assert.equal(code, 1);
      assert.match(stderr, /Error: boom\n/);
      proof.lost(t, 1);
    });
  }

  test('is left to a listener of the program that looks for others, and it finds none', async () => {
    const { code, others } = await throwBeside('a listener that looks for others', 'lastcall');
    assert.deepEqual({ code, others }, { code: 3, others: 0 });
  });
});

interface Thrown extends Pick<Ended, 'code' | 'stderr'> {
  readonly answer: string;
  readonly others: unknown;
}

/** A request is under way when another one causes the error. It is answered when the stop has come to the drain. */
async function throwBeside(beside: string, whether: 'lastcall' | 'none'): Promise<Thrown> {
  await using program = startService('lifecycle/uncaught-beside', { args: [beside, whether] });
  const { port = 0 } = await program.next('ready');
  const target = { port, host: '127.0.0.1' };
  using slow = askOnce(target);
  await program.next('asked');
  using failing = askOnce(target, { path: '/throw' });
  const decides = beside === 'a listener that looks for others';
  const drains = program.next('gate').then(() => process.kill(program.pid, 'SIGUSR2'));
  if (whether === 'none' || decides) drains.catch(() => {});
  else await drains;
  const { code, stderr } = await program.ended;
  await failing.answer;
  const others = decides ? (await program.next('listener')).facts?.others : undefined;
  return { answer: await slow.answer, code, stderr, others };
}
