import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http2 from 'node:http2';
import { createInterface } from 'node:readline';
import { suite, test, type TestContext } from 'node:test';
import { ask } from './close/calls-servers.ts';
import { fixture } from './connection/programs.ts';
import { get, RawHttpClient } from './connection/raw-http-client.ts';
import type { RuntimeTold } from './fixtures/runtimes/runtime-server.ts';
import { holdUp } from './harness/held-process.ts';
import { bun, deno, type OtherRuntime } from './harness/other-runtimes.ts';

// docs/runtimes.md says what is asserted here.

const CLIENTS = 50;
const DENO = ['run', '--allow-net', '--allow-read', '--allow-env'];

suite('on Deno', { skip: deno.missing, timeout: 60_000 }, () => {
  for (const kind of ['http', 'net'] as const) closesWell(deno, [...DENO, '--allow-ffi'], kind);

  test('an HTTP/2 session is told to go, and ends', async (t) => {
    const server = await start(t, deno, [...DENO, '--allow-ffi'], 'http2', 'graceful');
    const { isTold, end } = await openSession(t, server.port);
    server.stop();
    assert.equal(await isTold, true);
    await end;
    const { outcome, connections } = await server.report();
    assert.deepEqual([outcome, connections.atStart, connections.ended, connections.cut], ['complete', 1, 1, []]);
    assert.equal(await server.ended, 0);
  });

  test('without the permission for FFI no gate is shut, and the report says why', async (t) => {
    const server = await start(t, deno, DENO, 'http', 'graceful');
    server.stop();
    const { outcome, listeners } = await server.report();
    assert.deepEqual([outcome, listeners[0]!.gate], ['complete', 'none']);
    assert.match(listeners[0]!.reason ?? '', /^koffi did not load .*--allow-ffi/);
    assert.equal(await server.ended, 0);
  });
});

suite('on Bun', { skip: bun.missing, timeout: 60_000 }, () => {
  closesWell(bun, [], 'net');

  test('an HTTP/2 session is not told, and the report says that it was cut', async (t) => {
    const server = await start(t, bun, [], 'http2', 'graceful');
    const { end } = await openSession(t, server.port);
    server.stop();
    await end;
    const { outcome, listeners, connections } = await server.report();
    assert.deepEqual([outcome, listeners[0]!.gate], ['forced', 'refuse']);
    assert.deepEqual(
      connections.cut.map(({ protocol, reason }) => [protocol, reason]),
      [['h2', 'deadline']],
    );
    assert.equal(await server.ended, 0);
  });

  for (const [title, kind, how, message] of [
    ['an http server', 'http', 'graceful', /got an object: the http and https servers of Bun are none of node:net/],
    [
      '`all` servers',
      'net',
      'all',
      /^Expected servers by name, for Bun does not tell which of them listen, got `all`$/,
    ],
  ] as const) {
    test(`${title} cannot be closed, and the error says so`, async (t) => {
      const server = await start(t, bun, [], kind, how);
      server.stop();
      const error = await server.hears('error');
      assert.equal(error.code, 'ERR_SERVER');
      assert.match(error.message, message);
      assert.equal(await server.ended, 0);
    });
  }
});

function closesWell(runtime: OtherRuntime, args: readonly string[], kind: 'http' | 'net'): void {
  test(`a ${kind} server ends its idle connection, and the process ends by itself`, async (t) => {
    const server = await start(t, runtime, args, kind, 'graceful');
    const client = await RawHttpClient.connect(t, server.port);
    client.send(get('/'));
    await client.heard(/served$/);
    server.stop();
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    const { outcome, listeners, connections, errors } = await server.report();
    assert.deepEqual([outcome, errors], ['complete', []]);
    assert.deepEqual([listeners[0]!.gate, listeners[0]!.reason], ['refuse', undefined]);
    assert.deepEqual([connections.atStart, connections.ended, connections.cut], [1, 1, []]);
    assert.equal(await server.ended, 0);
  });

  test(`a service with a ${kind} server stops at SIGTERM, and exits with 0`, async (t) => {
    const server = await start(t, runtime, args, kind, 'service');
    const answers = await stopWithQueue(server);
    assert.deepEqual(new Set(answers), new Set(['HTTP/1.1 200 OK']));
    assert.equal((await server.report()).outcome, 'complete');
    assert.equal(await server.ended, 0);
  });

  test(`a ${kind} server serves the clients in its accept queue`, async (t) => {
    const server = await start(t, runtime, args, kind, 'graceful');
    const answers = await stopWithQueue(server);
    assert.deepEqual(new Set(answers), new Set(['HTTP/1.1 200 OK']));
    const { outcome, listeners, connections } = await server.report();
    assert.deepEqual([outcome, connections.cut], ['complete', []]);
    assert.equal(await server.ended, 0);
    t.diagnostic(`${listeners[0]!.queued} of ${CLIENTS} were queued when the gate shut`);
  });

  test(`control: a plain close of a ${kind} server resets clients in its accept queue`, async (t) => {
    const answers = await stopWithQueue(await start(t, runtime, args, kind, 'plain'));
    const reset = answers.filter((answer) => answer === 'ECONNRESET').length;
    assert.ok(reset > 0, `${reset} of ${CLIENTS} were reset`);
    t.diagnostic(`${reset} of ${CLIENTS} reset`);
  });
}

interface RuntimeServer {
  readonly pid: number;
  readonly port: number;
  hears<K extends keyof RuntimeTold>(what: K): Promise<RuntimeTold[K]>;
  report(): Promise<RuntimeTold['report']>;
  stop(): void;
  /** Its exit code, or the signal. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

async function start(
  t: TestContext,
  runtime: OtherRuntime,
  args: readonly string[],
  kind: 'http' | 'http2' | 'net',
  how: 'graceful' | 'service' | 'all' | 'plain',
): Promise<RuntimeServer> {
  const child = spawn(runtime.path, [...args, fixture('runtimes/runtime-server'), kind, how], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const hears = async <K extends keyof RuntimeTold>(what: K): Promise<RuntimeTold[K]> => {
    const { done, value } = await lines.next();
    assert.ok(done !== true, `the program has ended without a word about its ${what}`);
    const told: Partial<RuntimeTold> = JSON.parse(value);
    return told[what] ?? assert.fail(value);
  };
  return {
    pid: child.pid!,
    port: await hears('port'),
    hears,
    report: () => hears('report'),
    stop: () => void child.kill('SIGTERM'),
    ended: once(child, 'exit').then(([code, signal]) => code ?? signal),
  };
}

/** Stops it before it has accepted anyone of so many clients that are connected and have asked; returns what each got. */
async function stopWithQueue(server: RuntimeServer): Promise<readonly string[]> {
  await holdUp(server.pid);
  const queued = Array.from({ length: CLIENTS }, () => ask(server.port));
  await Promise.all(queued.map(({ socket }) => once(socket, 'connect')));
  server.stop();
  process.kill(server.pid, 'SIGCONT');
  return Promise.all(queued.map(({ answer }) => answer));
}

/** A session that has had its first answer. */
async function openSession(t: TestContext, port: number): Promise<{ isTold: Promise<boolean>; end: Promise<unknown> }> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  t.after(() => session.destroy());
  session.on('error', () => {});
  await once(session.request().resume(), 'close');
  return { isTold: once(session, 'goaway').then(() => true), end: once(session, 'close') };
}
