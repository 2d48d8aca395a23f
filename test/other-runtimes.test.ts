import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { suite, test } from 'node:test';
import type { RuntimeServerSends } from './fixtures/runtimes/runtime-server.ts';
import { Messages } from './harness/messages.ts';
import { bun, deno, type OtherRuntime } from './harness/other-runtimes.ts';
import { type Ended, fixture, startCommand, type TestProcess } from './harness/processes.ts';
import { prove } from './harness/proof.ts';
import { within } from './harness/wait.ts';
import { connectClients, tally } from './lifecycle/one-request.ts';

// docs/runtimes.md says what is asserted here.

const CLIENTS = 50;
const DENO = ['run', '--allow-net', '--allow-read', '--allow-env'];

suite('on Deno', { skip: deno.missing }, () => {
  for (const kind of ['http', 'net'] as const) closesWell('Deno', deno, [...DENO, '--allow-ffi'], kind);

  test('an HTTP/2 session is told to go, and ends', async () => {
    await using server = await RuntimeServer.start(deno, [...DENO, '--allow-ffi'], 'http2', 'graceful');
    using session = await openSession(server.port);
    server.stop();
    assert.equal(await session.isTold, true);
    await session.end;
    const { outcome, connections } = await server.next('report');
    const { atStart, ended, cut } = connections;
    assert.deepEqual({ outcome, atStart, ended, cut }, { outcome: 'complete', atStart: 1, ended: 1, cut: [] });
    assert.equal((await server.ended).code, 0);
  });

  test('without the permission for FFI no gate is shut, and the report says why', async () => {
    await using server = await RuntimeServer.start(deno, DENO, 'http', 'graceful');
    server.stop();
    const { outcome, listeners } = await server.next('report');
    assert.deepEqual({ outcome, gate: listeners[0]!.gate }, { outcome: 'complete', gate: 'none' });
    assert.match(listeners[0]!.reason ?? '', /^koffi did not load .*--allow-ffi/);
    assert.equal((await server.ended).code, 0);
  });
});

suite('on Bun', { skip: bun.missing }, () => {
  closesWell('Bun', bun, [], 'net');

  test('an HTTP/2 session is not told, and the report says that it was cut', async () => {
    await using server = await RuntimeServer.start(bun, [], 'http2', 'graceful');
    using session = await openSession(server.port);
    server.stop();
    await session.end;
    const { outcome, listeners, connections } = await server.next('report');
    assert.deepEqual({ outcome, gate: listeners[0]!.gate }, { outcome: 'forced', gate: 'refuse' });
    assert.deepEqual(
      connections.cut.map(({ protocol, reason }) => ({ protocol, reason })),
      [{ protocol: 'h2', reason: 'deadline' }],
    );
    assert.equal((await server.ended).code, 0);
  });

  for (const [title, kind, how, message] of [
    ['an http server', 'http', 'graceful', /got an object: the http and https servers of Bun are none of node:net/],
    [
      '`all` servers',
      'net',
      'all',
      /^Expected servers by name, for Bun does not show which of them listen, got `all`$/,
    ],
  ] as const) {
    test(`${title} cannot be closed, and the error says so`, async () => {
      await using server = await RuntimeServer.start(bun, [], kind, how);
      server.stop();
      const error = await server.next('error');
      assert.equal(error.code, 'ERR_SERVER');
      assert.match(error.message, message);
      assert.equal((await server.ended).code, 0);
    });
  }
});

function closesWell(title: string, runtime: OtherRuntime, args: readonly string[], kind: 'http' | 'net'): void {
  const proof = prove(`clients in the accept queue of a ${kind} server on ${title}`);

  test(`a ${kind} server ends its idle connection, and the process ends by itself`, async () => {
    await using server = await RuntimeServer.start(runtime, args, kind, 'graceful');
    using client = await IdleClient.connect(server.port);
    server.stop();
    assert.equal(await client.ended, 'EOF');
    client.end();
    const { outcome, listeners, connections, errors } = await server.next('report');
    assert.deepEqual({ outcome, errors }, { outcome: 'complete', errors: [] });
    const { gate, reason } = listeners[0]!;
    assert.deepEqual({ gate, reason }, { gate: 'refuse', reason: undefined });
    const { atStart, ended, cut } = connections;
    assert.deepEqual({ atStart, ended, cut }, { atStart: 1, ended: 1, cut: [] });
    assert.equal((await server.ended).code, 0);
  });

  test(`a service with a ${kind} server stops at SIGTERM, and exits with 0`, async () => {
    await using server = await RuntimeServer.start(runtime, args, kind, 'service');
    await server.hold();
    using queued = await connectClients(CLIENTS, { port: server.port, host: '127.0.0.1' });
    server.signal();
    server.goOn();
    assert.deepEqual(tally(await queued.answers), { 'HTTP/1.1 200 OK': CLIENTS });
    assert.equal((await server.next('report')).outcome, 'complete');
    assert.equal((await server.ended).code, 0);
  });

  test(`a ${kind} server serves the clients in its accept queue`, async (t) => {
    await using server = await RuntimeServer.start(runtime, args, kind, 'graceful');
    assert.deepEqual(await stopWithQueue(server), { 'HTTP/1.1 200 OK': CLIENTS });
    const { outcome, listeners, connections } = await server.next('report');
    assert.deepEqual({ outcome, cut: connections.cut }, { outcome: 'complete', cut: [] });
    assert.equal((await server.ended).code, 0);
    proof.held(t, { queued: CLIENTS, 'queued when the gate shut': listeners[0]!.queued });
  });

  test(`control: a plain close of a ${kind} server resets clients in its accept queue`, async (t) => {
    await using server = await RuntimeServer.start(runtime, args, kind, 'plain');
    const { ECONNRESET = 0 } = await stopWithQueue(server);
    proof.lost(t, ECONNRESET);
  });
}

/** The fixture runtimes/runtime-server on another runtime, which sends lines of JSON. For `await using`. */
class RuntimeServer implements AsyncDisposable {
  readonly ended: Promise<Ended>;
  readonly #process: TestProcess;
  readonly #messages = new Messages<RuntimeServerSends>('runtime-server');
  #port = 0;

  private constructor(runtime: OtherRuntime, args: readonly string[]) {
    this.#process = startCommand([runtime.path, ...args]);
    createInterface({ input: this.#process.child.stdout! }).on('line', (line) => this.#messages.push(JSON.parse(line)));
    this.ended = this.#process.ended.then((ended) => {
      this.#messages.end(`it ended with ${ended.code ?? ended.signal}. ${ended.stderr}`);
      return ended;
    });
  }

  /** Resolves when it listens. */
  static async start(
    runtime: OtherRuntime,
    args: readonly string[],
    kind: 'http' | 'http2' | 'net',
    how: 'graceful' | 'service' | 'all' | 'plain',
  ): Promise<RuntimeServer> {
    const server = new RuntimeServer(runtime, [...args, fixture('runtimes/runtime-server'), kind, how]);
    server.#port = await server.next('port');
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** As that of {@link Messages}. */
  next: Messages<RuntimeServerSends>['next'] = (key, awaited) => this.#messages.next(key, awaited);

  stop(): void {
    this.signal();
    this.goOnStopping();
  }

  signal(): void {
    this.#process.signal('SIGTERM');
  }

  /** It has told that it is `stopping`, and stands still: now it closes. */
  goOnStopping(): void {
    this.#process.write('\n');
  }

  async hold(): Promise<void> {
    await this.#process.hold();
  }

  goOn(): void {
    this.#process.goOn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

/** Stops it while so many clients are in its accept queue, and have asked; how often each answer came. */
async function stopWithQueue(server: RuntimeServer): Promise<Readonly<Record<string, number>>> {
  server.signal();
  await server.next('stopping');
  using queued = await connectClients(CLIENTS, { port: server.port, host: '127.0.0.1' });
  server.goOnStopping();
  return tally(await queued.answers);
}

/** A client whose connection is idle, and that does not end its side by itself. For `using`. */
class IdleClient implements Disposable {
  /** `EOF`, or the error's code. */
  readonly ended: Promise<string>;
  readonly #socket: net.Socket;

  private constructor(port: number) {
    this.#socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const ended = new Promise<string>((resolve) => {
      this.#socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      this.#socket.once('end', () => resolve('EOF'));
    });
    this.ended = within('the end of an idle connection', ended);
    // Awaited when it matters.
    this.ended.catch(() => {});
  }

  /** Resolves when it has had its first answer. */
  static async connect(port: number): Promise<IdleClient> {
    const client = new IdleClient(port);
    let text = '';
    const served = new Promise<void>((resolve) => {
      client.#socket.on('data', (bytes) => {
        text += bytes.toString();
        if (text.endsWith('served')) resolve();
      });
    });
    client.#socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await within('the first answer', served);
    return client;
  }

  end(): void {
    this.#socket.end();
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

interface Session extends Disposable {
  readonly isTold: Promise<boolean>;
  readonly end: Promise<unknown>;
}

/** A session that has had its first answer. */
async function openSession(port: number): Promise<Session> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  const end = once(session, 'close');
  const isTold = Promise.race([once(session, 'goaway').then(() => true), end.then(() => false)]);
  await within('the first answer', once(session.request().resume(), 'close'));
  return { isTold, end: within('the end of the session', end), [Symbol.dispose]: () => session.destroy() };
}
