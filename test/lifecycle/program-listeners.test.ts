import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { suite, test } from 'node:test';
import type { Program } from '../harness/observed-program.ts';
import { ENDED_WELL, type ServiceOptions, startService } from '../harness/start-service.ts';
import { askOnce } from './one-request.ts';

const STOP = ['asked', 'lame duck', 'closing', 'gate', 'answers', 'report', 'closed by lastcall'];

suite("under register, a program's own listener of SIGTERM", () => {
  for (const [title, way] of [
    ['added by `on`', 'on'],
    ['added by `once`', 'once'],
    ['added when the server listens', 'added late'],
  ] as const) {
    test(`${title} runs after the drain, and closes its server as if it still listened`, async () => {
      await using program = startProgram(way);
      const order = await stopWhileAsked(program);
      assert.deepEqual(order, [...STOP, 'listener', 'close event', 'closed']);
    });
  }

  test('added before lastcall was loaded runs after the drain', async () => {
    await using program = startProgram('nothing', { imports: ['lifecycle/signal-listener'] });
    const order = await stopWhileAsked(program);
    assert.deepEqual(order, [...STOP, 'earlier listener']);
  });

  test('runs in the order in which it and others were added', async () => {
    await using program = startProgram('on', { imports: ['lifecycle/signal-listener'] });
    const order = await stopWhileAsked(program);
    assert.deepEqual(order, [...STOP, 'earlier listener', 'listener', 'close event', 'closed']);
  });

  test('control: without lastcall runs at once', async () => {
    await using program = startProgram('on', { registration: 'none' });
    const { answer } = await askOne(program);
    process.kill(program.pid, 'SIGTERM');
    await program.next('listener');
    process.kill(program.pid, 'SIGUSR2');
    assert.match(await answer, /200 OK/);
    await program.ended;
    assert.deepEqual(orderOf(program), ['asked', 'listener', 'answers', 'close event', 'closed']);
  });
});

suite('under register, server.close()', () => {
  test('of the program during the drain calls back after it, without an error', async () => {
    await using program = startProgram('close in the drain');
    const order = await stopWhileAsked(program, async () => {
      process.kill(program.pid, 'SIGUSR1');
      await program.next('calls close');
    });
    assert.deepEqual(
      order.filter((event) => event !== 'report' && event !== 'closed by lastcall'),
      ['asked', 'lame duck', 'closing', 'gate', 'calls close', 'answers', 'close event', 'closed'],
    );
  });

  for (const registration of ['--import', 'none'] as const) {
    test(`outside a stop is Node's own${registration === 'none' ? '; control: without lastcall' : ''}`, async () => {
      await using program = startService('lifecycle/plain-close', { registration });
      const { facts } = await program.next('closed');
      assert.deepEqual(facts, {
        isNodes: true,
        isOwn: false,
        listeners: registration === 'none' ? 0 : 1,
        answers: ['closed', 'ERR_SERVER_NOT_RUNNING'],
        listenersAfter: 0,
      });
      assert.deepEqual(await program.ended, ENDED_WELL);
    });
  }
});

const signalExit = new URL('../../../node_modules/signal-exit/dist/mjs/index.js', import.meta.url);

suite('under register, listeners of signal-exit', {
  skip: existsSync(signalExit) ? false : 'needs signal-exit',
}, () => {
  const preload = `import { onExit } from '${signalExit.href}'; onExit(() => {});
    if (process.listenerCount('SIGTERM') !== 1) throw new Error('it does not listen');`;

  test('do not count: the process exits after the drain by itself', async () => {
    await using program = startProgram('nothing', { imports: [`data:text/javascript,${encodeURIComponent(preload)}`] });
    const order = await stopWhileAsked(program);
    // 'close' is not held back.
    assert.deepEqual(
      order.filter((event) => event !== 'close event'),
      STOP,
    );
    assert.ok(order.includes('close event'));
  });
});

suite("under register, beside signal-exit 3, a program's own listener of SIGTERM", () => {
  const signalExit3 = new URL('../../../node_modules/signal-exit-3/index.js', import.meta.url);
  // It is loaded before register. When the server begins to listen, it puts back the `process.emit` that it found.
  const unloading = `import { subscribe } from 'node:diagnostics_channel'; import onExit from '${signalExit3.href}';
    const remove = onExit(() => {}); subscribe('tracing:net.server.listen:asyncStart', remove);`;

  for (const [title, way] of [
    ['added before the server listens', 'on'],
    ['added when the server listens', 'added late'],
  ] as const) {
    test(`${title} runs after the drain, though signal-exit puts back another emit`, async () => {
      await using program = startProgram(way, { imports: [`data:text/javascript,${encodeURIComponent(unloading)}`] });
      const order = await stopWhileAsked(program);
      assert.deepEqual(order, [...STOP, 'listener', 'close event', 'closed']);
    });
  }
});

function startProgram(way: string, options: ServiceOptions = {}): Program {
  return startService('lifecycle/signal-order', { registration: '--import', args: [way], ...options });
}

/** Sends SIGTERM during a request. The program answers when the gate is shut and `meanwhile` has ended. */
async function stopWhileAsked(
  program: Program,
  meanwhile: () => Promise<void> = async () => {},
): Promise<readonly string[]> {
  const { answer } = await askOne(program);
  process.kill(program.pid, 'SIGTERM');
  await program.next('gate');
  await meanwhile();
  process.kill(program.pid, 'SIGUSR2');
  assert.match(await answer, /200 OK/);
  assert.deepEqual(await program.ended, ENDED_WELL);
  return orderOf(program);
}

async function askOne(program: Program): Promise<{ answer: Promise<string> }> {
  const { port = 0 } = await program.next('listening');
  const { answer } = askOnce({ port, host: '127.0.0.1' });
  await program.next('asked');
  return { answer };
}

/** The events in their order. States have their names. */
function orderOf({ history }: Program): readonly string[] {
  const words = history.map(({ tell, facts }) => (tell === 'state' ? String(facts?.state) : tell));
  const isOfLastCall = (index: number): boolean => history[index]?.tell === 'state' && words[index] === 'closed';
  return words
    .map((word, index) => (isOfLastCall(index) ? 'closed by lastcall' : word))
    .filter((word) => word !== 'listening');
}
