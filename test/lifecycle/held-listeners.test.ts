import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Program } from '../harness/observed-program.ts';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL, startService } from '../harness/start-service.ts';

const HOLDERS = ['register', 'holdListeners'] as const;
type Holder = (typeof HOLDERS)[number] | 'lastCall';

const NOT_HELD =
  /^lastcall: the exit does not wait for the program's own listeners of SIGTERM, and may cut what they do: (.*)\. Remove/;

suite("the promise of a program's own listener of SIGTERM", { concurrency: 2 }, () => {
  const proof = prove("what a program's own listener of SIGTERM flushes and stores");

  for (const holder of HOLDERS) {
    test(`is awaited after the drain, with ${holder}, and so is that of a second one`, async (t) => {
      await using program = await signalled(holder, ['flushes', 'stores']);
      await program.next('report');
      await program.next('listener flushes');
      await program.next('listener stores');
      process.kill(program.pid, 'SIGUSR2');
      assert.deepEqual(await program.ended, ENDED_WELL);
      const order = ['report', 'listener flushes', 'listener stores', 'flushed', 'stored'];
      assert.deepEqual(eventsOf(program, order), order);
      proof.held(t, { listeners: 2 });
    });
  }

  test('control: is not awaited with lastCall alone; stderr and the report name the listeners', async (t) => {
    await using program = await signalled('lastCall', ['flushes', 'stores']);
    const { facts } = await program.next('stopped');
    assert.equal(facts?.outcome, 'forced');
    const { code, stderr } = await program.ended;
    assert.equal(code, 0);
    assert.match(NOT_HELD.exec(stderr)?.[1] ?? stderr, /^`flush`, `store` \(.*held-listener\.js\)$/);
    assert.equal(stderr.match(/does not wait/g)?.length, 1);
    assert.deepEqual(eventsOf(program, ['flushed', 'stored']), []);
    proof.lost(t, 2);
  });

  test('that never settles is given up at the deadline, and the listener is named', async () => {
    await using program = await signalled('register', ['never finishes'], { LASTCALL_DEADLINE: '1s' });
    assert.deepEqual(await program.ended, {
      code: 1,
      signal: null,
      stderr:
        "lastcall: the program's own listeners of the signal have not finished in time: `neverFinish` (dist/test/fixtures/lifecycle/held-listener.js) of SIGTERM\n",
    });
  });
});

suite("a program's own listener of SIGTERM that returns nothing", { concurrency: 2 }, () => {
  for (const [way, name] of [
    ['returns nothing', 'noteSignal'],
    ['awaits nothing', 'noteSignalLater'],
  ] as const) {
    test(`is given LASTCALL_LISTENER_WAIT to end the process, and is named: it ${way}`, async () => {
      await using program = await signalled('register', [way], {
        LASTCALL_LISTENER_WAIT: '100ms',
        LASTCALL_DEADLINE: '60s',
      });
      const { code, stderr } = await program.ended;
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`have returned nothing, and have not ended the process in time: \`${name}\``));
    });
  }

  test('is not waited for with LASTCALL_LISTENER_WAIT=0s', async () => {
    await using program = await signalled('register', ['returns nothing'], { LASTCALL_LISTENER_WAIT: '0s' });
    assert.deepEqual(await program.ended, ENDED_WELL);
  });

  const proof = prove('work that a listener of SIGTERM gives to waitUntil');
  const NO_WAIT = { LASTCALL_LISTENER_WAIT: '0s' };

  test('is waited for if it gives its work to waitUntil, also with LASTCALL_LISTENER_WAIT=0s', async (t) => {
    await using program = await signalled('register', ['hands over its work'], NO_WAIT);
    await program.next('listener hands over its work');
    process.kill(program.pid, 'SIGUSR2');
    assert.deepEqual(await program.ended, ENDED_WELL);
    assert.deepEqual(eventsOf(program, ['worked']), ['worked']);
    proof.held(t, { listeners: 1 });
  });

  test('control: is not waited for if it keeps its work to itself', async (t) => {
    await using program = await signalled('register', ['keeps its work'], NO_WAIT);
    assert.deepEqual(await program.ended, ENDED_WELL);
    assert.deepEqual(eventsOf(program, ['worked']), []);
    proof.lost(t, 1);
  });

  test('that gives work to waitUntil which is not done is given up at the deadline, and the work is named', async () => {
    await using program = await signalled('register', ['hands over its work'], { ...NO_WAIT, LASTCALL_DEADLINE: '1s' });
    const { code, stderr } = await program.ended;
    assert.equal(code, 1);
    assert.match(stderr, /work given to `waitUntil` was not done in time: work/);
  });

  const twice = prove('what a `once` listener of SIGTERM does when the signal comes twice at once');

  test('that was added by `once` and returns a promise finishes though the signal comes again within 500 ms', async (t) => {
    await using program = await signalled('register', ['once flushes']);
    await program.next('listener flushes');
    process.kill(program.pid, 'SIGTERM');
    process.kill(program.pid, 'SIGUSR2');
    const { signal } = await program.ended;
    assert.deepEqual({ signal, flushed: eventsOf(program, ['flushed']) }, { signal: 'SIGTERM', flushed: ['flushed'] });
    twice.held(t, { listeners: 1 });
  });

  test('that was added by `once` and gives work to waitUntil has it done though the signal comes again within 500 ms', async (t) => {
    await using program = await signalled('register', ['once hands over its work'], NO_WAIT);
    await program.next('listener hands over its work');
    process.kill(program.pid, 'SIGTERM');
    process.kill(program.pid, 'SIGUSR2');
    await program.ended;
    assert.deepEqual(eventsOf(program, ['worked']), ['worked']);
    twice.held(t, { listeners: 1 });
  });

  test('that was added by `once` and rejects has its error told though the signal comes again within 500 ms', async () => {
    await using program = await signalled('register', ['once rejects']);
    await program.next('listener rejects');
    process.kill(program.pid, 'SIGTERM');
    process.kill(program.pid, 'SIGUSR2');
    const { stderr } = await program.ended;
    assert.match(stderr, /Error: no disk/);
  });

  test('control: a second signal later than that ends it at once', async (t) => {
    await using program = await signalled('register', ['once flushes']);
    await program.next('listener flushes');
    // Time is what is tested: a signal within 500 ms counts as the first.
    await sleep(600);
    process.kill(program.pid, 'SIGTERM');
    const { signal } = await program.ended;
    assert.deepEqual({ signal, flushed: eventsOf(program, ['flushed']) }, { signal: 'SIGTERM', flushed: [] });
    twice.lost(t, 1);
  });

  test('does not end the wait for the promise of another one', async () => {
    await using program = await signalled('register', ['returns nothing', 'flushes'], { LASTCALL_LISTENER_WAIT: '0s' });
    await program.next('listener flushes');
    process.kill(program.pid, 'SIGUSR2');
    assert.deepEqual(await program.ended, ENDED_WELL);
    assert.deepEqual(eventsOf(program, ['flushed']), ['flushed']);
  });
});

suite("a process.exit() in a program's own listener of SIGTERM", { concurrency: 2 }, () => {
  for (const holder of HOLDERS) {
    test(`ends the wait, with its code, with ${holder}`, async () => {
      await using program = await signalled(holder, ['never finishes', 'stores and exits']);
      await program.next('listener stores and exits');
      process.kill(program.pid, 'SIGUSR2');
      assert.deepEqual(await program.ended, { ...ENDED_WELL, code: 7 });
    });
  }
});

/** A program that listens, and has got SIGTERM. */
async function signalled(holder: Holder, ways: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Program> {
  const registration = holder === 'register' ? '--import' : 'none';
  const program = startService('lifecycle/held-listener', { registration, args: [holder, ...ways], env });
  await program.next('listening');
  process.kill(program.pid, 'SIGTERM');
  return program;
}

function eventsOf({ history }: Program, names: readonly string[]): readonly string[] {
  return history.map(({ tell }) => tell).filter((tell) => names.includes(tell));
}
