import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { listenHttp } from '../harness/servers.ts';
import { listenBusy, queueClients } from './calls-servers.ts';

const CLIENTS = 30;

/** Less than `idleWait`, the shortest wait of a close that is not over at once, and room for a busy machine; in milliseconds. */
const AT_ONCE = 1_500;

describe('a close that must be over', () => {
  it('at once, its signal aborted before: shuts the gate, and serves who is queued', async () => {
    await using server = await listenHttp();
    await using queue = queueClients(portOf(server), 3);
    const report = await gracefulClose(server, { signal: AbortSignal.abort() });
    assert.equal(report.listeners[0]?.gate, 'refuse');
    assert.equal(report.listeners[0]?.queued, 3);
    assert(report.duration < AT_ONCE, `${report.duration} ms`);
    assert.equal(server.listening, false);
    assert.deepEqual(
      await queue.answers,
      Array.from({ length: 3 }, () => 'HTTP/1.1 200 OK'),
    );
    assert.equal(report.connections.fromQueues, 3);
    assert.equal(report.connections.ended + report.connections.cut.length, 3);
  });

  it('at once, with more queued than it has time for: names everyone that it did not serve', async (t) => {
    await using server = await listenHttp((_, response) => {
      const until = performance.now() + 20;
      while (performance.now() < until);
      response.end('served');
    });
    await using queue = queueClients(portOf(server), CLIENTS);
    const report = await gracefulClose(server, { signal: AbortSignal.abort() });
    assert(report.duration < AT_ONCE, `${report.duration} ms`);
    const served = (await queue.answers).filter((answer) => answer === 'HTTP/1.1 200 OK').length;
    t.diagnostic(`served ${served}, cut ${report.connections.cut.length}`);
    assert(served < CLIENTS, 'all were served: nothing was left to name');
    assert(report.connections.cut.length >= CLIENTS - served, `${report.connections.cut.length} were named`);
    assert.equal(report.connections.ended + report.connections.cut.length, CLIENTS);
    assert.equal(report.outcome, 'forced');
  });

  it('in the middle, by its signal: cuts what is left and names it', async () => {
    await using busy = await listenBusy();
    const { server, client } = busy;
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

  it('at the deadline of 0: cuts what is left and names it', async () => {
    await using busy = await listenBusy();
    const { server, client } = busy;
    const report = await gracefulClose(server, { deadline: 0 });
    assert.equal(report.outcome, 'forced');
    assert.deepEqual(
      report.connections.cut.map(({ reason }) => reason),
      ['deadline'],
    );
    assert(report.duration < AT_ONCE, `${report.duration} ms`);
    await client.answer;
  });

  it('at the deadline of 0 with nobody there is complete', async () => {
    await using server = await listenHttp();
    const report = await gracefulClose(server, { deadline: 0 });
    assert.equal(report.outcome, 'complete');
  });
});
