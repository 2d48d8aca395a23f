import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { type CloseOptions, gracefulClose, LastCallError } from '../../src/index.ts';
import { Answers, KINDS } from '../fixtures/call-kinds.ts';
import { makeCertificate } from '../fixtures/call-certificate.ts';
import { startProgram } from '../fixtures/share-program.ts';

/** For closes that have nothing to wait for. */
const SOON = { idleWait: 50, lingerWait: 50 } as const;
const CLIENTS = 30;
const needsRoot = process.getuid?.() === 0 ? false : 'needs root';

async function startServer<S extends net.Server>(t: TestContext, server: S): Promise<S> {
  t.after(() => {
    if (server.listening) server.close();
    if (server instanceof http.Server) server.closeAllConnections();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

function startHttp(t: TestContext, handler?: http.RequestListener): Promise<http.Server> {
  return startServer(t, http.createServer(handler ?? ((_, response) => void response.end('served'))));
}

function portOf(server: net.Server): number {
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  return address.port;
}

/** A client that has sent a request; what it got, or the error's code, is told at the end. */
function ask(port: number, connection = 'close'): { socket: net.Socket; answer: Promise<string> } {
  const socket = net.connect({ host: '127.0.0.1', port });
  socket.write(`GET / HTTP/1.1\r\nHost: x\r\nConnection: ${connection}\r\n\r\n`);
  const answer = new Promise<string>((resolve) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('end', () => resolve(text.split('\r\n', 1)[0] ?? ''));
  });
  return { socket, answer };
}

/** A server whose only client waits for an answer that does not come before `answer` is called. */
async function startBusy(
  t: TestContext,
): Promise<{ server: http.Server; client: ReturnType<typeof ask>; answer: () => void }> {
  const server = await startHttp(t, () => {});
  const client = ask(portOf(server));
  t.after(() => client.socket.destroy());
  const [, response] = await once(server, 'request');
  return { server, client, answer: () => response.end('served') };
}

/** Holds up the loop until the other thread has `clients` connections to the port, and for `least` ms. */
function blockUntilQueued(t: TestContext, port: number, clients: number, least: number): Promise<readonly string[]> {
  const began = performance.now();
  const connected = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL('../fixtures/call-clients.js', import.meta.url), {
    workerData: { port, clients, connected },
  });
  t.after(() => worker.terminate());
  for (let count = 0; count < clients; count = Atomics.load(connected, 0)) Atomics.wait(connected, 0, count, 10_000);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.max(0, least - (performance.now() - began)));
  return once(worker, 'message').then(([answers]) => answers);
}

describe('a second call', () => {
  it('returns the first promise and ignores its own options', async (t) => {
    const { server, client, answer } = await startBusy(t);
    const first = gracefulClose(server, SOON);
    const second = gracefulClose(server, { deadline: 0 });
    assert.equal(second, first);
    assert.equal(gracefulClose([server, server]), first);
    answer();
    assert.equal(await client.answer, 'HTTP/1.1 200 OK');
    assert.equal((await first).outcome, 'complete');
    assert.equal(gracefulClose(server), first);
  });

  it('with one server more joins the running close and closes the other', async (t) => {
    const { server, client, answer } = await startBusy(t);
    const other = await startHttp(t);
    const first = gracefulClose(server, SOON);
    const both = gracefulClose([server, other], SOON);
    assert.notEqual(both, first);
    assert.equal(other.listening, true);
    answer();
    assert.equal(await client.answer, 'HTTP/1.1 200 OK');
    const report = await both;
    assert.deepEqual(
      [...report.listeners].map(({ gate }) => gate),
      ['refuse', 'refuse'],
    );
    assert.equal(new Set(report.listeners.map(({ address }) => address)).size, 2);
    assert.equal(report.connections.ended, 1);
    assert.equal((await first).listeners.length, 1);
    assert.equal(other.listening, false);
  });
});

describe('a server without a listener', () => {
  it('that has closed resolves with no listeners', async (t) => {
    const server = await startHttp(t);
    server.close();
    await once(server, 'close');
    const report = await gracefulClose(server);
    assert.deepEqual(report.listeners, []);
    assert.equal(report.outcome, 'complete');
  });

  it('that never listened resolves with no listeners, and can be closed once it does', async (t) => {
    const server = http.createServer();
    assert.deepEqual((await gracefulClose(server)).listeners, []);
    await startServer(t, server);
    assert.equal((await gracefulClose(server, SOON)).listeners[0]?.gate, 'refuse');
  });

  it('is none at all in an empty array', async () => {
    assert.deepEqual((await gracefulClose([])).listeners, []);
  });
});

describe('a wrong call throws at once', () => {
  const MILLISECONDS = 'a number of milliseconds from 0 to 2147483647';
  const NAMES = 'deadline, newConnections, gate, handshakeWait, idleWait, lingerWait, signal, onProgress';
  const times = ['deadline', 'handshakeWait', 'idleWait', 'lingerWait'].flatMap((name) =>
    [
      { value: -1, shown: '`-1`' },
      { value: Number.NaN, shown: '`NaN`' },
      { value: Number.POSITIVE_INFINITY, shown: '`Infinity`' },
      { value: 2 ** 31, shown: '`2147483648`' },
      { value: '5', shown: '`5`' },
      { value: null, shown: '`null`' },
    ].map(({ value, shown }) => ({ options: { [name]: value }, name, expected: MILLISECONDS, shown })),
  );
  const wrong: readonly { options: unknown; name: string; expected: string; shown: string }[] = [
    ...times,
    { options: { newConnections: 'drop' }, name: 'newConnections', expected: '`refuse` or `hold`', shown: '`drop`' },
    { options: { gate: 'mine' }, name: 'gate', expected: '`own` or left out', shown: '`mine`' },
    { options: { signal: {} }, name: 'signal', expected: 'an AbortSignal', shown: 'an object' },
    { options: { onProgress: [] }, name: 'onProgress', expected: 'a function', shown: 'an array' },
    { options: { dedline: 5 }, name: 'options', expected: `made of ${NAMES}`, shown: '`dedline`' },
    { options: 5, name: 'options', expected: 'an object', shown: '`5`' },
    { options: null, name: 'options', expected: 'an object', shown: '`null`' },
  ];

  for (const { options, name, expected, shown } of wrong) {
    it(`for \`${name}\` as ${shown}`, async (t) => {
      const server = await startHttp(t);
      const error = thrownBy(() => gracefulClose(server, options as CloseOptions));
      assert.equal(error.code, 'ERR_OPTION');
      assert.equal(error.message, `Expected \`${name}\` to be ${expected}, got ${shown}`);
      assert.equal(server.listening, true);
    });
  }

  const noServers: readonly { name: string; servers: unknown }[] = [
    { name: 'undefined', servers: undefined },
    { name: 'null', servers: null },
    { name: 'an object', servers: {} },
    { name: 'a wrong word', servers: 'each' },
    { name: 'a port', servers: 8080 },
    { name: 'an array with something else', servers: [http.createServer(), {}] },
  ];
  for (const { name, servers } of noServers) {
    it(`for ${name} as a server`, () => {
      const error = thrownBy(() => gracefulClose(servers as net.Server));
      assert.equal(error.code, 'ERR_SERVER');
      assert.match(error.message, /^Expected a net, tls, http, https or http2 server/);
    });
  }
});

function thrownBy(call: () => unknown): LastCallError {
  try {
    call();
  } catch (error) {
    assert(error instanceof LastCallError);
    return error;
  }
  return assert.fail('nothing was thrown');
}

describe('a close that must be over', () => {
  it('at once, its signal aborted before: shuts the gate, and serves who is queued', async (t) => {
    const server = await startHttp(t);
    const port = portOf(server);
    const answers = blockUntilQueued(t, port, 3, 0);
    const report = await gracefulClose(server, { signal: AbortSignal.abort() });
    assert.equal(report.listeners[0]?.gate, 'refuse');
    assert.equal(report.listeners[0]?.queued, 3);
    assert(report.duration < 500, `${report.duration} ms`);
    assert.equal(server.listening, false);
    assert.deepEqual(
      await answers,
      Array.from({ length: 3 }, () => 'HTTP/1.1 200 OK'),
    );
    assert.equal(report.connections.fromQueues, 3);
    assert.equal(report.connections.ended + report.connections.cut.length, 3);
  });

  it('at once, with more queued than it has time for: names everyone that it did not serve', async (t) => {
    const server = await startServer(
      t,
      http.createServer((_, response) => {
        const until = performance.now() + 20;
        while (performance.now() < until);
        response.end('served');
      }),
    );
    const answers = blockUntilQueued(t, portOf(server), CLIENTS, 0);
    const report = await gracefulClose(server, { signal: AbortSignal.abort() });
    assert(report.duration < 1_000, `${report.duration} ms`);
    const served = (await answers).filter((answer) => answer === 'HTTP/1.1 200 OK').length;
    t.diagnostic(`served ${served}, cut ${report.connections.cut.length}`);
    assert(served < CLIENTS, 'all were served: nothing was left to name');
    assert(report.connections.cut.length >= CLIENTS - served, `${report.connections.cut.length} were named`);
    assert.equal(report.connections.ended + report.connections.cut.length, CLIENTS);
    assert.equal(report.outcome, 'forced');
  });

  it('in the middle, by its signal: cuts what is left and names it', async (t) => {
    const { server, client } = await startBusy(t);
    const abort = new AbortController();
    const close = gracefulClose(server, {
      signal: abort.signal,
      onProgress: (told) => {
        if (told.phase === 'ending connections') abort.abort();
      },
    });
    const report = await close;
    assert.equal(report.outcome, 'forced');
    const local = client.socket.address();
    assert('port' in local);
    assert.deepEqual(report.connections.cut, [
      { remote: `127.0.0.1:${local.port}`, protocol: 'http/1.1', reason: 'aborted', unacknowledged: 0 },
    ]);
    await client.answer;
  });

  it('at the deadline of 0: cuts what is left and names it', async (t) => {
    const { server, client } = await startBusy(t);
    const report = await gracefulClose(server, { deadline: 0 });
    assert.equal(report.outcome, 'forced');
    assert.deepEqual(
      report.connections.cut.map(({ reason }) => reason),
      ['deadline'],
    );
    assert(report.duration < 500, `${report.duration} ms`);
    await client.answer;
  });

  it('at the deadline of 0 with nobody there is complete', async (t) => {
    const report = await gracefulClose(await startHttp(t), { deadline: 0 });
    assert.equal(report.outcome, 'complete');
  });
});

describe('a close', () => {
  it('serves the clients that queued while the loop was blocked for a second', async (t) => {
    const server = await startHttp(t);
    const answers = blockUntilQueued(t, portOf(server), CLIENTS, 1_000);
    const report = await gracefulClose(server, SOON);
    assert.equal(report.listeners[0]?.queued, CLIENTS);
    assert.equal(report.connections.fromQueues, CLIENTS);
    assert.equal(report.outcome, 'complete');
    assert.deepEqual(
      await answers,
      Array.from({ length: CLIENTS }, () => 'HTTP/1.1 200 OK'),
    );
  });

  it('has its control: a plain close resets those clients', async (t) => {
    const server = await startServer(
      t,
      net.createServer((socket) => socket.end('served')),
    );
    const answers = blockUntilQueued(t, portOf(server), CLIENTS, 1_000);
    server.close();
    assert((await answers).filter((answer) => answer === 'ECONNRESET').length >= CLIENTS - 1);
  });

  it('ends well when the program closes the server meanwhile', async (t) => {
    const { server, client, answer } = await startBusy(t);
    const close = gracefulClose(server, SOON);
    const closed = once(server, 'close');
    server.close();
    answer();
    assert.equal(await client.answer, 'HTTP/1.1 200 OK');
    assert.equal((await close).outcome, 'complete');
    await closed;
  });

  it('can be repeated when the server listens again', async (t) => {
    const server = await startHttp(t);
    const first = gracefulClose(server, SOON);
    await first;
    await startServer(t, server);
    const client = ask(portOf(server), 'keep-alive');
    await once(client.socket, 'data');
    const second = gracefulClose(server, SOON);
    assert.notEqual(second, first);
    const report = await second;
    assert.equal(report.listeners[0]?.gate, 'refuse');
    assert.equal(report.connections.atStart, 1);
    assert.equal(report.connections.ended, 1);
    assert.equal(await client.answer, 'HTTP/1.1 200 OK');
  });

  it("of 'all' closes every server that listens, and none that has closed", async (t) => {
    const servers = [await startHttp(t), await startServer(t, net.createServer())];
    const addresses = servers.map((server) => `127.0.0.1:${portOf(server)}`);
    const report = await gracefulClose('all', SOON);
    assert.deepEqual(report.listeners.map(({ address }) => address).toSorted(), addresses.toSorted());
    assert.deepEqual(
      servers.map((server) => server.listening),
      [false, false],
    );
  });

  it('reports what onProgress throws, and is not harmed by it', async (t) => {
    const { server, client, answer } = await startBusy(t);
    const cause = new Error('a mistake');
    const close = gracefulClose(server, {
      ...SOON,
      onProgress: () => {
        throw cause;
      },
    });
    answer();
    const report = await close;
    assert.equal(await client.answer, 'HTTP/1.1 200 OK');
    assert.equal(report.outcome, 'complete');
    assert(report.errors.length > 0);
    for (const error of report.errors) {
      assert(error instanceof LastCallError);
      assert.equal(error.code, 'ERR_CALLBACK');
      assert.equal(error.cause, cause);
    }
  });

  it('leaves no descriptor, no timer and no word on stderr: the process ends by itself', async (t) => {
    const program = startProgram(t, 'call-and-exit.js');
    const { facts, report } = await program.next('closed');
    const told = performance.now();
    assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' });
    const took = performance.now() - told;
    assert(took < 2_000, `it ended only after ${took} ms`);
    assert.equal(report?.outcome, 'complete');
    assert.equal(facts?.after, facts?.before);
    assert(Array.isArray(facts?.resources));
    const kept = facts.resources.filter((resource) => !/^PipeWrap|^TTYWrap/.test(resource));
    assert.deepEqual(kept, []);
  });

  for (const withoutProc of [false, true]) {
    const where = withoutProc ? ', where /proc/self/fd cannot be read' : '';
    it(`finds its listener after the process has given up root${where}`, { skip: needsRoot }, async (t) => {
      const program = startProgram(t, 'call-without-root.js', { withoutProc });
      const { facts, report } = await program.next('closed');
      assert.deepEqual(facts, { readsOwnDescriptors: !withoutProc, found: 1 });
      assert.deepEqual(
        report?.listeners.map(({ gate, reason }) => ({ gate, reason })),
        [{ gate: 'refuse', reason: undefined }],
      );
      assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' });
    });
  }
});

describe('a server with a client that is being served and one that is idle', () => {
  const certificate = makeCertificate();

  for (const kind of KINDS) {
    it(`ends both well as ${kind.name}`, async (t) => {
      const answers = new Answers();
      const server = await startServer(t, kind.create(answers, certificate));
      const port = portOf(server);
      const idle = kind.connect(port, '/idle');
      t.after(idle.destroy);
      assert.equal(await idle.answered, 'idle served');
      const busy = kind.connect(port, '/busy');
      t.after(busy.destroy);
      await answers.busy;
      const close = gracefulClose(server, { idleWait: 400, lingerWait: 200 });
      // The answer comes after the idle one has gone, where the protocol shows that one is due.
      if (kind.waitsForAnswer) await idle.ended;
      answers.release();
      assert.equal(await busy.answered, 'busy served');
      await Promise.all([busy.ended, idle.ended]);
      const report = await close;
      assert.equal(report.outcome, 'complete');
      assert.equal(report.listeners[0]?.gate, 'refuse');
      assert.equal(report.connections.atStart, 2);
      assert.equal(report.connections.ended, 2);
      assert.deepEqual(report.errors, []);
      assert.equal(server.listening, false);
    });
  }
});
