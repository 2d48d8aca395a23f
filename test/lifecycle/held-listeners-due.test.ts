import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import type { Ended, Program } from '../harness/observed-program.ts';
import { type Registration, startService } from '../harness/start-service.ts';

/** In milliseconds: less than an uncaught error has for its drain (5 s), and than the deadline. */
const SOON = 4_000;
const REGISTRATIONS = ['--import', 'none'] as const;

suite('a program with a listener of SIGTERM alone that gets SIGINT', () => {
  test('under register exits after the drain, and waits for no listener', async (t) => {
    const program = start(t, 'closes', '--import');
    assert.deepEqual(await stop(program, 'SIGINT'), { code: 0, signal: null, stderr: '' });
    assert.deepEqual(toldOf(program), ['gate']);
  });

  test('control: without lastcall dies of the signal', async (t) => {
    const program = start(t, 'closes', 'none');
    assert.deepEqual(await stop(program, 'SIGINT'), { code: null, signal: 'SIGINT', stderr: '' });
  });
});

suite("an error of the program's own listener of SIGTERM", () => {
  for (const [title, way, execArgs] of [
    ['thrown', 'throws', ''],
    ['thrown, with unhandled rejections as warnings', 'throws', '--unhandled-rejections=warn'],
    ['rejected after its server has closed', 'rejects', ''],
  ] as const) {
    for (const registration of REGISTRATIONS) {
      test(`ends the process at once, ${described(registration)}: ${title}`, async (t) => {
        const program = start(t, way, registration, execArgs);
        const { code, signal, stderr } = await stop(program);
        assert.deepEqual([code, signal], [1, null]);
        assert.match(stderr, /Error: out of order\n {4}at [^]*\n\nNode\.js v\d[^\n]*\n$/);
        assert.deepEqual(toldOf(program), registration === 'none' ? ['listener'] : ['gate', 'listener']);
      });
    }
  }
});

suite("a program's own listener of SIGTERM closes its server", () => {
  for (const [title, way, told] of [
    ['by a `close` that it took before the stop', 'taken before', ['listener', 'closed']],
    ['by the `close` of the prototype', 'of the prototype', ['listener', 'closed']],
    ['by a `close` that it has put in its place', 'overridden', ['listener', 'pool closed', 'closed']],
    ['by the `close` of a class of its own', 'subclass', ['listener', 'pool closed', 'closed']],
  ] as const) {
    for (const registration of REGISTRATIONS) {
      test(`${title}, and it calls back, ${described(registration)}`, async (t) => {
        const program = start(t, way, registration);
        assert.deepEqual(await stop(program), { code: 0, signal: null, stderr: '' });
        assert.deepEqual(toldOf(program), registration === 'none' ? told : ['gate', ...told]);
      });
    }
  }
});

suite('a SIGTERM that comes while the program starts, before its server listens', () => {
  for (const registration of REGISTRATIONS) {
    test(`reaches its own listener, ${described(registration)}`, async (t) => {
      const program = start(t, 'in the start-up', registration);
      assert.deepEqual(await within(program), { code: 0, signal: null, stderr: '' });
      assert.deepEqual(
        toldOf(program).filter((told) => told !== 'gate'),
        ['listener', 'closed'],
      );
    });
  }
});

function described(registration: Registration): string {
  return registration === 'none' ? 'control: without lastcall' : 'under register';
}

function start(t: TestContext, way: string, registration: Registration, execArgs = ''): Program {
  return startService(t, 'lifecycle/due-listener.js', { registration, args: [way], env: { NODE_OPTIONS: execArgs } });
}

async function stop(program: Program, signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
  await program.next('listening');
  process.kill(program.pid, signal);
  return within(program);
}

/** How it ended, which has to be soon. */
async function within(program: Program): Promise<Ended> {
  const began = performance.now();
  const ended = await program.ended;
  assert.ok(performance.now() - began < SOON, `${performance.now() - began} ms`);
  return ended;
}

function toldOf({ history }: Program): readonly string[] {
  return history.map(({ tell }) => tell).filter((tell) => ['gate', 'listener', 'pool closed', 'closed'].includes(tell));
}
