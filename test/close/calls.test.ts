import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { describe, it } from 'node:test';
import { gracefulClose, LastCallError } from '../../src/index.ts';
import { needsNamespaces, needsPrograms, needsRoot } from '../harness/needs.ts';
import { assertEndsWell, observeFixture } from '../harness/observed-program.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen, listenHttp } from '../harness/servers.ts';
import { ask, listenBusy, queueClients, SOON } from './calls-servers.ts';

const CLIENTS = 30;

describe('a second call', () => {
  it('returns the first promise and ignores its own options', async () => {
    await using busy = await listenBusy();
    const { server, client, answer } = busy;
    const first = gracefulClose(server, SOON);
    const second = gracefulClose(server, { deadline: 0 });
    assert.equal(second, first);
    assert.equal(gracefulClose([server, server]), first);
    answer();
    assert.equal(await client.answer, 'HTTP/1.1 200 OK');
    assert.equal((await first).outcome, 'complete');
    assert.equal(gracefulClose(server), first);
  });

  it("of 'all' is of the closes under way, too", async () => {
    await using busy = await listenBusy();
    const { client, answer } = busy;
    const first = gracefulClose('all', SOON);
    assert.equal(gracefulClose('all', SOON), first);
    answer();
    assert.equal(await client.answer, 'HTTP/1.1 200 OK');
    assert.equal((await first).connections.ended, 1);
  });

  it('by one who hears of the first before it has returned gets the same promise', async () => {
    await using server = await listenHttp();
    const inside: unknown[] = [];
    const callAgain = (): void => void inside.push(gracefulClose(server));
    subscribe('lastcall:gate', callAgain);
    const close = gracefulClose(server, SOON);
    unsubscribe('lastcall:gate', callAgain);
    assert.deepEqual({ calls: inside.length, isSame: inside[0] === close }, { calls: 1, isSame: true });
    assert.equal((await close).listeners.length, 1);
  });

  it('with one server more joins the running close and closes the other', async () => {
    await using busy = await listenBusy();
    const { server, client, answer } = busy;
    await using other = await listenHttp();
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
  it('that has closed resolves with no listeners', async () => {
    await using server = await listenHttp();
    server.close();
    await once(server, 'close');
    const report = await gracefulClose(server);
    assert.deepEqual(report.listeners, []);
    assert.equal(report.outcome, 'complete');
  });

  it('that never listened resolves with no listeners, and can be closed once it does', async () => {
    const server = http.createServer();
    assert.deepEqual((await gracefulClose(server)).listeners, []);
    await using listening = await listen(server);
    assert.equal(listening.listening, true);
    assert.equal((await gracefulClose(server, SOON)).listeners[0]?.gate, 'refuse');
  });

  it('is none at all in an empty array', async () => {
    assert.deepEqual((await gracefulClose([])).listeners, []);
  });
});

describe('a close', () => {
  const proof = prove('clients that queued while the loop was blocked for a second');

  it('serves the clients that queued while the loop was blocked for a second', async (t) => {
    await using server = await listenHttp();
    await using queue = queueClients(portOf(server), CLIENTS, 1_000);
    const report = await gracefulClose(server, SOON);
    assert.equal(report.listeners[0]?.queued, CLIENTS);
    assert.equal(report.connections.fromQueues, CLIENTS);
    assert.equal(report.outcome, 'complete');
    assert.deepEqual(
      await queue.answers,
      Array.from({ length: CLIENTS }, () => 'HTTP/1.1 200 OK'),
    );
    proof.held(t, { queued: CLIENTS });
  });

  it('has its control: a plain close resets those clients', async (t) => {
    await using server = await listen(net.createServer((socket) => socket.end('served')));
    await using queue = queueClients(portOf(server), CLIENTS, 1_000);
    server.close();
    const reset = (await queue.answers).filter((answer) => answer === 'ECONNRESET').length;
    assert(reset >= CLIENTS - 1, `${reset} were reset`);
    proof.lost(t, reset);
  });

  it('ends well when the program closes the server meanwhile', async () => {
    await using busy = await listenBusy();
    const { server, client, answer } = busy;
    const close = gracefulClose(server, SOON);
    const closed = once(server, 'close');
    server.close();
    answer();
    assert.equal(await client.answer, 'HTTP/1.1 200 OK');
    assert.equal((await close).outcome, 'complete');
    await closed;
  });

  it('can be repeated when the server listens again', async () => {
    await using server = await listenHttp();
    const first = gracefulClose(server, SOON);
    await first;
    await once(server.listen(0, '127.0.0.1'), 'listening');
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

  it('does not call the close that the program has put in the place of its own', async () => {
    await using server = await listenHttp();
    server.close = () => assert.fail('it was called');
    const closed = once(server, 'close');
    assert.equal((await gracefulClose(server, SOON)).outcome, 'complete');
    await closed;
  });

  it("of 'all' closes every server that listens, and none that has closed", async () => {
    await using web = await listenHttp();
    await using raw = await listen(net.createServer());
    const servers = [web, raw];
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
    it(`reports what onProgress ${how}, and is not harmed by it`, async () => {
      await using busy = await listenBusy();
      const { server, client, answer } = busy;
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

  it('may have its signal in common with many others', async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    await using scope = new Scope();
    process.on('warning', warned);
    scope.defer(() => process.off('warning', warned));
    const abort = new AbortController();
    const busy = await Promise.all(Array.from({ length: 15 }, async () => scope.use(await listenBusy())));
    const closes = busy.map(({ server }) => gracefulClose(server, { signal: abort.signal }));
    abort.abort();
    for (const close of closes)
      assert.deepEqual(
        (await close).connections.cut.map(({ reason }) => reason),
        ['aborted'],
      );
    assert.deepEqual(warnings, []);
  });

  it('leaves no descriptor, no timer and no word on stderr: the process ends by itself', async () => {
    await using program = observeFixture('close/call-and-exit');
    const { facts, report } = await program.next('closed');
    // Less than the default of `deadline`, the longest of a close's own timers.
    await assertEndsWell(program, 5_000);
    assert.equal(report?.outcome, 'complete');
    assert.equal(facts?.after, facts?.before);
    assert(Array.isArray(facts?.resources));
    const kept = facts.resources.filter((resource) => !/^PipeWrap|^TTYWrap/.test(resource));
    assert.deepEqual(kept, []);
  });

  it('finishes what https serves, though lastcall was imported only then', {
    skip: needsPrograms('openssl'),
  }, async () => {
    await using program = observeFixture('close/call-late-import');
    const { report, facts } = await program.next('closed');
    assert.deepEqual(facts, { busy: 'busy served', idle: 'ended before the answer' });
    const { atStart, ended } = report?.connections ?? {};
    assert.deepEqual({ outcome: report?.outcome, atStart, ended }, { outcome: 'complete', atStart: 2, ended: 2 });
    await assertEndsWell(program);
  });

  for (const withoutProc of [false, true]) {
    const where = withoutProc ? ', where /proc/self/fd cannot be read' : '';
    it(`finds its listener after the process has given up root${where}`, {
      skip: withoutProc ? needsNamespaces('--mount') : needsRoot,
    }, async () => {
      await using program = observeFixture('close/call-without-root', { withoutProc });
      const { facts, report } = await program.next('closed');
      assert.deepEqual(facts, { readsOwnDescriptors: !withoutProc, found: 1 });
      assert.deepEqual(
        report?.listeners.map(({ gate, reason }) => ({ gate, reason })),
        [{ gate: 'refuse', reason: undefined }],
      );
      await assertEndsWell(program);
    });
  }
});
