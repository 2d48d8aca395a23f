import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Program, Told } from '../harness/observed-program.ts';
import { startFixture } from '../harness/processes.ts';
import { ENDED_WELL, type ServiceOptions, startService } from '../harness/start-service.ts';

/** In ms. Less than the drain has after an uncaught error. */
const SOON = 4_800;

suite('when a service has stopped', () => {
  test("`close` is Node's own again, also of a server that two services shared", async () => {
    await using program = start(['one server twice']);
    const { facts } = await program.next('closed');
    assert.deepEqual(facts, { isOwn: false, isNodes: true, signals: 0 });
    assert.deepEqual(await program.ended, ENDED_WELL);
  });

  test("the program's own exit code is kept", async () => {
    await using program = start(['exit code']);
    assert.deepEqual(await program.ended, { ...ENDED_WELL, code: 5 });
  });

  test('the process does not exit before another service has stopped, which leaves the exit to others', async () => {
    await using program = start(['one without exit']);
    assert.deepEqual(await program.ended, ENDED_WELL);
    assert.ok(program.history.some(({ tell }) => tell === 'drained'));
  });
});

test('twenty servers stop without a warning', async () => {
  await using program = start(['twenty servers']);
  assert.deepEqual(await program.ended, ENDED_WELL);
  assert.equal(program.history.filter(({ tell }) => tell === 'gate').length, 20);
});

suite('of 300 closed servers', () => {
  for (const [title, args, options] of [
    ["`lastCall('all')` keeps none", ['lets servers go', 'all'], {}],
    ['register keeps none', ['lets servers go', 'none'], { registration: '--import' }],
    ['control: those that the program keeps are there', ['keeps servers', 'all'], {}],
  ] as const) {
    test(title, async () => {
      await using program = start(args, options);
      const { facts } = await program.next('collected');
      const kept = args[0] === 'keeps servers' ? 100 : 0;
      assert.deepEqual(facts, { left: kept, kept });
      // There is no warning either.
      assert.deepEqual(await program.ended, ENDED_WELL);
    });
  }
});

suite('an uncaught error', () => {
  test('whose inspection throws ends the process after the drain', async () => {
    await using program = start(['cannot be shown']);
    assert.equal((await program.next('answered')).facts?.statusCode, 200);
    const { code, signal, stderr } = await program.ended;
    assert.deepEqual({ code, signal }, { code: 1, signal: null }, stderr);
    assert.match(stderr, /Node\.js v\d/);
  });

  for (const whether of ['', 'none']) {
    test(`in a worker thread reaches its parent${whether === 'none' ? '; control: without lastcall' : ''}`, async () => {
      await using program = start(['thread', whether]);
      assert.deepEqual((await program.next('error')).facts, { message: 'out of order' });
      assert.deepEqual((await program.next('thread ended')).facts, { code: 1 });
      assert.equal((await program.ended).code, 0);
    });
  }
});

suite('when stderr has no reader', () => {
  test('an uncaught error stays the only one, and the process exits after the drain', async () => {
    const { code, told, after } = await runUnread(['throws']);
    assert.equal(code, 1);
    assert.deepEqual(
      told.map(({ tell, facts }) => ({ tell, facts })),
      [
        { tell: 'answered', facts: { statusCode: 200 } },
        { tell: 'exit', facts: { uncaught: 1 } },
      ],
    );
    assert.ok(after < SOON, `${after} ms`);
  });

  test('control: without lastcall it is the only one, and no client gets an answer', async () => {
    const { code, told } = await runUnread(['throws', 'none']);
    assert.equal(code, 1);
    assert.deepEqual(
      told.map(({ tell, facts }) => ({ tell, facts })),
      [{ tell: 'exit', facts: { uncaught: 1 } }],
    );
  });

  test('the line about cut connections is lost, and the exit code is 0', async () => {
    const { code, told } = await runUnread(['cuts']);
    assert.equal(code, 0);
    assert.deepEqual(told.at(-1)?.facts, { uncaught: 0 });
  });
});

function start(args: readonly string[], options: ServiceOptions = {}): Program {
  return startService('lifecycle/left-behind', { args, ...options });
}

/** In a process whose stderr is a pipe without a reader, from the start. */
async function runUnread(
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly told: readonly Told[]; readonly after: number }> {
  const began = performance.now();
  await using program = startFixture('lifecycle/left-behind', { args, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  program.child.stderr?.destroy();
  const { code, stdout } = await program.ended;
  const lines = stdout.trimEnd().split('\n');
  return { code, told: lines.map((line) => JSON.parse(line)), after: performance.now() - began };
}
