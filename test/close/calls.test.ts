import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { describe, it } from 'node:test';
import { gracefulClose, LastCallError } from '../../src/index.ts';
import { certificateMissing } from '../harness/certificate.ts';
import { startProgram } from '../harness/observed-program.ts';
import { ask, blockUntilQueued, portOf, SOON, startBusy, startHttp, startServer } from './calls-servers.ts';

const CLIENTS = 30;
const needsRoot = process.getuid?.() === 0 ? false : 'needs root';

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

  it("of 'all' is of the closes under way, too", async (t) => {
    const { client, answer } = await startBusy(t);
    const first = gracefulClose('all', SOON);
    assert.equal(gracefulClose('all', SOON), first);
    answer();
    assert.equal(await client.answer, 'HTTP/1.1 200 OK');
    assert.equal((await first).connections.ended, 1);
  });

  it('by one who hears of the first before it has returned gets the same promise', async (t) => {
    const server = await startHttp(t);
    const inside: unknown[] = [];
    const callAgain = (): void => void inside.push(gracefulClose(server));
    subscribe('lastcall:gate', callAgain);
    t.after(() => unsubscribe('lastcall:gate', callAgain));
    const close = gracefulClose(server, SOON);
    assert.deepEqual([inside.length, inside[0] === close], [1, true]);
    assert.equal((await close).listeners.length, 1);
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

  it('does not call the close that the program has put in the place of its own', async (t) => {
    const server = await startHttp(t);
    server.close = () => assert.fail('it was called');
    const closed = once(server, 'close');
    assert.equal((await gracefulClose(server, SOON)).outcome, 'complete');
    await closed;
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

  const cause = new Error('a mistake');
  const mistakes: readonly { readonly how: string; readonly onProgress: () => void }[] = [
    {
      how: 'throws',
      onProgress: () => {
        throw cause;
      },
    },
    { how: 'rejects with', onProgress: () => Promise.reject(cause) },
  ];
  for (const { how, onProgress } of mistakes) {
    it(`reports what onProgress ${how}, and is not harmed by it`, async (t) => {
      const { server, client, answer } = await startBusy(t);
      const close = gracefulClose(server, { ...SOON, onProgress });
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
  }

  it('may have its signal in common with many others', async (t) => {
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warned);
    t.after(() => process.off('warning', warned));
    const abort = new AbortController();
    const busy = await Promise.all(Array.from({ length: 15 }, () => startBusy(t)));
    const closes = busy.map(({ server }) => gracefulClose(server, { signal: abort.signal }));
    abort.abort();
    for (const close of closes)
      assert.deepEqual(
        (await close).connections.cut.map(({ reason }) => reason),
        ['aborted'],
      );
    assert.deepEqual(warnings, []);
  });

  it('leaves no descriptor, no timer and no word on stderr: the process ends by itself', async (t) => {
    const program = startProgram(t, 'close/call-and-exit.js');
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

  it('finishes what https serves, though lastcall was imported only then', { skip: certificateMissing }, async (t) => {
    const program = startProgram(t, 'close/call-late-import.js');
    const { report, facts } = await program.next('closed');
    assert.deepEqual(facts, { busy: 'busy served', idle: 'ended before the answer' });
    assert.deepEqual([report?.outcome, report?.connections.atStart, report?.connections.ended], ['complete', 2, 2]);
    assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' });
  });

  for (const withoutProc of [false, true]) {
    const where = withoutProc ? ', where /proc/self/fd cannot be read' : '';
    it(`finds its listener after the process has given up root${where}`, { skip: needsRoot }, async (t) => {
      const program = startProgram(t, 'close/call-without-root.js', { withoutProc });
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
