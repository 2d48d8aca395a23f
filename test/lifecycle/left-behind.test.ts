import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { suite, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Program, Told } from '../harness/observed-program.ts';
import { type ServiceOptions, startService } from '../harness/start-service.ts';

/** In milliseconds: less than an uncaught error has for its drain. */
const SOON = 4_000;
const ENDED_WELL = { code: 0, signal: null, stderr: '' };

suite('when a service is over', () => {
  test("`close` is Node's own again, of a server that two services had, too", async (t) => {
    const program = start(t, ['one server twice']);
    const { facts } = await program.next('closed');
    assert.deepEqual(facts, { isOwn: false, isNodes: true, signals: 0 });
    assert.deepEqual(await program.ended, ENDED_WELL);
  });

  test("the program's own exit code is kept", async (t) => {
    assert.deepEqual(await start(t, ['exit code']).ended, { ...ENDED_WELL, code: 5 });
  });

  test('the process does not exit before another one is, that leaves the exit to others', async (t) => {
    const program = start(t, ['one without exit']);
    assert.deepEqual(await program.ended, ENDED_WELL);
    assert.ok(program.history.some(({ tell }) => tell === 'drained'));
  });
});

test('twenty servers are stopped without a warning', async (t) => {
  const program = start(t, ['twenty servers']);
  assert.deepEqual(await program.ended, ENDED_WELL);
  assert.equal(program.history.filter(({ tell }) => tell === 'gate').length, 20);
});

suite('of 300 servers that were closed', () => {
  for (const [title, args, options] of [
    ["`lastCall('all')` keeps none", ['lets servers go', 'all'], {}],
    ['register keeps none', ['lets servers go', 'none'], { registration: '--import' }],
    ['control: those that the program keeps are there', ['keeps servers', 'all'], {}],
  ] as const) {
    test(title, async (t) => {
      const program = start(t, args, options);
      const { facts } = await program.next('collected');
      const kept = args[0] === 'keeps servers' ? 100 : 0;
      assert.deepEqual(facts, { left: kept, kept });
      // Nor is there a warning.
      assert.deepEqual(await program.ended, ENDED_WELL);
    });
  }
});

suite('an uncaught error', () => {
  test('whose inspection throws ends the process after the drain', async (t) => {
    const program = start(t, ['cannot be shown']);
    assert.equal((await program.next('answered')).facts?.statusCode, 200);
    const { code, signal, stderr } = await program.ended;
    assert.deepEqual([code, signal], [1, null], stderr);
    assert.match(stderr, /Node\.js v\d/);
  });

  for (const whether of ['', 'none']) {
    test(`in a worker thread reaches its parent${whether === 'none' ? '; control: without lastcall' : ''}`, async (t) => {
      const program = start(t, ['thread', whether]);
      assert.deepEqual((await program.next('error')).facts, { message: 'out of order' });
      assert.deepEqual((await program.next('thread ended')).facts, { code: 1 });
      assert.equal((await program.ended).code, 0);
    });
  }
});

suite('where nobody reads stderr any more', () => {
  test('an uncaught error is one, and the process exits after the drain', async (t) => {
    const { code, told, after } = await runUnread(t, ['throws']);
    assert.equal(code, 1);
    assert.deepEqual(
      told.map(({ tell, facts }) => [tell, facts]),
      [
        ['answered', { statusCode: 200 }],
        ['exit', { uncaught: 1 }],
      ],
    );
    assert.ok(after < SOON, `${after} ms`);
  });

  test('control: without lastcall it is one, and nobody is answered', async (t) => {
    const { code, told } = await runUnread(t, ['throws', 'none']);
    assert.equal(code, 1);
    assert.deepEqual(
      told.map(({ tell, facts }) => [tell, facts]),
      [['exit', { uncaught: 1 }]],
    );
  });

  test('what is said of those who were cut is lost, and the exit code is 0', async (t) => {
    const { code, told } = await runUnread(t, ['cuts']);
    assert.equal(code, 0);
    assert.deepEqual(told.at(-1)?.facts, { uncaught: 0 });
  });
});

function start(t: TestContext, args: readonly string[], options: ServiceOptions = {}): Program {
  return startService(t, 'lifecycle/left-behind.js', { args, ...options });
}

/** In a process whose stderr is a pipe that has no reader from the start. */
async function runUnread(
  t: TestContext,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly told: readonly Told[]; readonly after: number }> {
  const program = fileURLToPath(new URL('../fixtures/lifecycle/left-behind.js', import.meta.url));
  const began = performance.now();
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  child.stderr.destroy();
  const said = text(child.stdout);
  const [code] = await once(child, 'close');
  const lines = (await said).trimEnd().split('\n');
  return { code, told: lines.map((line) => JSON.parse(line)), after: performance.now() - began };
}
