import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Program } from '../harness/observed-program.ts';
import { ENDED_WELL, type Registration, startService } from '../harness/start-service.ts';
import type { Ended } from '../harness/observed-program.ts';

/** In ms. Less than the drain has after an uncaught error (5 s), and than the deadline. */
const SOON = 4_800;
const REGISTRATIONS = ['--import', 'none'] as const;

suite('a program that listens for SIGTERM only, and gets SIGINT', () => {
  test('under register exits after the drain, and waits for no listener', async () => {
    await using program = start('closes', '--import');
    assert.deepEqual(await stop(program, 'SIGINT'), ENDED_WELL);
    assert.deepEqual(eventsOf(program), ['gate']);
  });

  test('control: without lastcall dies of the signal', async () => {
    await using program = start('closes', 'none');
    assert.deepEqual(await stop(program, 'SIGINT'), { code: null, signal: 'SIGINT', stderr: '' });
  });
});

suite("an error in the program's own listener of SIGTERM", () => {
  for (const [title, way, execArgs] of [
    ['thrown', 'throws', ''],
    ['thrown, with unhandled rejections as warnings', 'throws', '--unhandled-rejections=warn'],
    ['rejected after its server has closed', 'rejects', ''],
  ] as const) {
    for (const registration of REGISTRATIONS) {
      test(`ends the process at once, ${described(registration)}: ${title}`, async () => {
        await using program = start(way, registration, execArgs);
        const { code, signal, stderr } = await stop(program);
        assert.deepEqual({ code, signal }, { code: 1, signal: null });
        assert.match(stderr, /Error: out of order\n {4}at [^]*\n\nNode\.js v\d[^\n]*\n$/);
        assert.deepEqual(eventsOf(program), registration === 'none' ? ['listener'] : ['gate', 'listener']);
      });
    }
  }
});

suite("a program's own listener of SIGTERM closes its server", () => {
  for (const [title, way, events] of [
    ['by a `close` that it took before the stop', 'taken before', ['listener', 'closed']],
    ['by the `close` of the prototype', 'of the prototype', ['listener', 'closed']],
    ['by its own `close` in place of that', 'overridden', ['listener', 'pool closed', 'closed']],
    ['by the `close` of its own class', 'subclass', ['listener', 'pool closed', 'closed']],
  ] as const) {
    for (const registration of REGISTRATIONS) {
      test(`${title}, and it calls back, ${described(registration)}`, async () => {
        await using program = start(way, registration);
        assert.deepEqual(await stop(program), ENDED_WELL);
        assert.deepEqual(eventsOf(program), registration === 'none' ? events : ['gate', ...events]);
      });
    }
  }
});

suite('a SIGTERM that comes while the program starts, before its server listens', () => {
  for (const registration of REGISTRATIONS) {
    test(`reaches its own listener, ${described(registration)}`, async () => {
      await using program = start('in the start-up', registration);
      assert.deepEqual(await endsSoon(program), ENDED_WELL);
      assert.deepEqual(
        eventsOf(program).filter((event) => event !== 'gate'),
        ['listener', 'closed'],
      );
    });
  }
});

function described(registration: Registration): string {
  return registration === 'none' ? 'control: without lastcall' : 'under register';
}

function start(way: string, registration: Registration, execArgs = ''): Program {
  return startService('lifecycle/due-listener', { registration, args: [way], env: { NODE_OPTIONS: execArgs } });
}

async function stop(program: Program, signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
  await program.next('listening');
  process.kill(program.pid, signal);
  return endsSoon(program);
}

/** Asserts that it ends soon. Returns how it ended. */
async function endsSoon(program: Program): Promise<Ended> {
  const began = performance.now();
  const ended = await program.ended;
  assert.ok(performance.now() - began < SOON, `${performance.now() - began} ms`);
  return ended;
}

function eventsOf({ history }: Program): readonly string[] {
  return history.map(({ tell }) => tell).filter((tell) => ['gate', 'listener', 'pool closed', 'closed'].includes(tell));
}
