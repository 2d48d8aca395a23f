import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { suite, test } from 'node:test';
import { lastCall } from '../../src/index.ts';
import type { Program } from '../harness/observed-program.ts';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL, type Registration, startService } from '../harness/start-service.ts';
import { askOnce } from './one-request.ts';

suite('work that goes on after its response', () => {
  const proof = prove('work that a request has begun, and that goes on after its response');

  for (const [title, told, registration] of [
    ['to `service.waitUntil`', 'service', 'none'],
    ['to the imported `waitUntil`, under register', 'import', '--import'],
    ['to the symbol, under register', 'symbol', '--import'],
  ] as const) {
    test(`is done before the process exits, if its promise was given ${title}`, async (t) => {
      await using program = await startWorking(told, registration);
      process.kill(program.pid, 'SIGTERM');
      await program.next('report');
      process.kill(program.pid, 'SIGUSR2');
      assert.deepEqual(await program.ended, ENDED_WELL);
      assert.ok(tellsOf(program).includes('work done'));
      proof.held(t, { 'under way': 1 });
    });
  }

  for (const registration of ['none', '--import'] as const) {
    const where = registration === 'none' ? 'with lastCall' : 'under register';
    test(`control: is lost if nobody was told of it, ${where}`, async (t) => {
      await using program = await startWorking('nobody', registration, registration === 'none' ? 'called' : 'done');
      process.kill(program.pid, 'SIGTERM');
      assert.deepEqual(await program.ended, ENDED_WELL);
      assert.ok(!tellsOf(program).includes('work done'));
      proof.lost(t, 1);
    });
  }

  test('is done before `onDrained` is called, which may close what it needs', async () => {
    await using program = await startWorking('service', 'none');
    process.kill(program.pid, 'SIGTERM');
    await program.next('report');
    process.kill(program.pid, 'SIGUSR2');
    assert.deepEqual(await program.ended, ENDED_WELL);
    const order = tellsOf(program).filter((tell) => ['work done', 'onDrained', 'stopped'].includes(tell));
    assert.deepEqual(order, ['work done', 'onDrained', 'stopped']);
  });

  test('is named in the report and on stderr if it is not done at the deadline', async () => {
    await using program = await startWorking('service', 'none', 'late');
    process.kill(program.pid, 'SIGTERM');
    const { facts } = await program.next('stopped');
    const doubt = 'work given to `waitUntil` was not done in time: the audit';
    assert.deepEqual(facts, { outcome: 'forced', doubts: [doubt], errors: [] });
    assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: `lastcall: ${doubt}\n` });
  });

  test('ends with the drain at a second signal, and is named', async () => {
    await using program = await startWorking('import', '--import', 'done', { LASTCALL_DEADLINE: '60s' });
    process.kill(program.pid, 'SIGTERM');
    await program.next('report');
    // It counts as a second one half a second after the first.
    await new Promise((resolve) => setTimeout(resolve, 600));
    process.kill(program.pid, 'SIGTERM');
    const { code, stderr } = await program.ended;
    assert.equal(code, 0);
    assert.match(stderr, /^lastcall: work given to `waitUntil` was not done in time: the audit\n$/);
  });

  test('is in the errors of the report if it fails during the stop, and the stop goes on', async () => {
    await using program = await startWorking('service', 'none', 'fails');
    process.kill(program.pid, 'SIGTERM');
    await program.next('report');
    process.kill(program.pid, 'SIGUSR2');
    const { facts } = await program.next('stopped');
    const failed = 'work given to `waitUntil` failed: the audit';
    assert.deepEqual(facts, { outcome: 'complete', doubts: [], errors: [failed] });
    const { code, stderr } = await program.ended;
    assert.equal(code, 0);
    assert.ok(stderr.startsWith(`lastcall: ${failed}: Error: out of order`), stderr);
  });

  test('is on stderr if it fails during the stop and was given to the imported `waitUntil`, under register', async () => {
    await using program = await startWorking('import', '--import', 'fails');
    process.kill(program.pid, 'SIGTERM');
    await program.next('report');
    process.kill(program.pid, 'SIGUSR2');
    const { code, stderr } = await program.ended;
    assert.equal(code, 0);
    assert.ok(stderr.startsWith('lastcall: work given to `waitUntil` failed: the audit: Error: out of order'), stderr);
  });

  test('causes a warning if it fails after the stop, where the process goes on', async () => {
    await using service = lastCall([], { deadline: 100 });
    const fails = new AbortController();
    service.waitUntil(once(new EventEmitter(), 'never', { signal: fails.signal }), 'the audit');
    const { doubts, errors } = await service.close();
    const warned = once(process, 'warning');
    fails.abort();
    const [warning]: unknown[] = await warned;
    assert.match(String(warning), /work given to `waitUntil` failed: the audit: AbortError/);
    assert.deepEqual({ doubts: doubts.length, errors }, { doubts: 1, errors: [] });
  });

  test('causes a warning if it fails before the stop, and the program goes on', async () => {
    await using program = await startWorking('service', 'none', 'fails');
    process.kill(program.pid, 'SIGUSR2');
    await program.next('work fails');
    process.kill(program.pid, 'SIGTERM');
    const { code, stderr } = await program.ended;
    assert.equal(code, 0);
    assert.match(stderr, /LastCallWarning: work given to `waitUntil` failed: the audit: Error: out of order/);
  });
});

test('`waitUntil` refuses what is no promise', async () => {
  await using service = lastCall([]);
  for (const wrong of [undefined, 'soon', () => {}]) {
    assert.throws(() => Reflect.apply(service.waitUntil, service, [wrong]), { code: 'ERR_OPTION' });
  }
  assert.throws(() => Reflect.apply(service.waitUntil, service, [Promise.resolve(), 1]), {
    code: 'ERR_OPTION',
    message: 'Expected `name` to be a string, got `1`',
  });
});

/** Resolves when a client has its answer, and the work goes on. */
async function startWorking(
  told: string,
  registration: Registration,
  becomes = 'done',
  env: NodeJS.ProcessEnv = {},
): Promise<Program> {
  const program = startService('lifecycle/work-after', { registration, args: [told, becomes], env });
  const { port = 0 } = await program.next('listening');
  assert.match(await askOnce({ port, host: '127.0.0.1' }).answer, /200 OK/);
  await program.next('works');
  return program;
}

function tellsOf({ history }: Program): readonly string[] {
  return history.map(({ tell }) => tell);
}
