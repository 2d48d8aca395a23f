import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { count } from '../harness/counts.ts';
import type { Way } from '../fixtures/connection/http1/http-keep-alive-server.ts';
import { labMissing } from '../lab/lab.ts';
import { type Load, type StoppedKeepAlive, stopKeepAlive } from './stop-keep-alive.ts';

// Whoever ends a quiet kept connection may cross a request on its way: as many are lost in a stop as are sent in one round
// trip, unless the server waits for one more request on each and ends the connection with its answer.

const CLIENTS = 300;
const STORM = { clients: CLIENTS, thinkTime: [50, 150], timeout: 10_000, duration: 30_000 } as const;

// Nearly everyone is connected when the close begins.
const ACCEPTED = 0.75;

const ONE_BY_ONE: Load = { wire: { delay: 10 }, storm: { ...STORM, tellAfter: 4 * CLIENTS }, accepted: ACCEPTED };

const LOADS: readonly (Load & { readonly title: string })[] = [
  { title: 'each with one request at a time', ...ONE_BY_ONE },
  {
    title: 'each pipelining three requests',
    wire: { delay: 10 },
    storm: { ...STORM, pipeline: 3, tellAfter: 6 * CLIENTS },
    accepted: ACCEPTED,
    // The close is to find requests that were read and have no answer yet.
    answerAfter: 5,
  },
  {
    title: 'each posting 64 kB',
    wire: { delay: 10 },
    storm: { ...STORM, bodyBytes: 65_536, tellAfter: 2 * CLIENTS },
    accepted: ACCEPTED,
  },
  {
    title: 'over a round trip of 100 ms with 1 % loss each way',
    wire: { delay: 50, loss: 0.01 },
    storm: { ...STORM, tellAfter: 4 * CLIENTS },
    accepted: ACCEPTED,
  },
];

const OTHERS: readonly Way[] = ['http-terminator', 'stoppable', 'http-graceful-shutdown'];

for (const { title, ...load } of LOADS) {
  suite(`${CLIENTS} keep-alive clients, ${title}`, { skip: labMissing }, () => {
    test('lose no request in any stop', { timeout: 30_000 * count(20) }, async (t) => {
      for (let stop = 1; stop <= count(20); stop += 1) {
        const stopped = await stopKeepAlive('lastcall', load, stop);
        assertNothingLost(stopped, load);
        const { result, report } = stopped;
        t.diagnostic(`${result.counts.served} served, 0 lost; closed in ${report?.duration.toFixed()} ms`);
      }
    });

    test('control: lose requests when Node alone stops the server', { timeout: 60_000 }, async (t) => {
      assertLost(await stopKeepAlive('server.close()', load, 1), t);
    });
  });
}

suite(`${CLIENTS} keep-alive clients, ${LOADS[0]?.title}`, { skip: labMissing }, () => {
  for (const way of OTHERS) {
    test(`control: lose requests when ${way} stops the server`, { timeout: 60_000 }, async (t) => {
      assertLost(await stopKeepAlive(way, ONE_BY_ONE, 1), t);
    });
  }
});

function assertNothingLost({ result, handled, report }: StoppedKeepAlive, { storm }: Load): void {
  const { counts } = result;
  const told = JSON.stringify({ result, handled, report });
  assert.equal(result.lost, 0, told);
  // No connection ended but after an answer that said so.
  assert.deepEqual([counts.idleClosed, counts.failed, counts.serverErrors], [0, 0, 0], told);
  // Whatever reached the application was answered in whole, pipelined or not; what did not may be asked again elsewhere.
  assert.equal(handled, counts.served, told);

  assert.equal(report?.outcome, 'complete', told);
  assert.equal(report.listeners[0]?.gate, 'refuse', told);
  assert.equal(report.connections.lateRequests, 0, told);
  // The path was walked: nearly everyone was there when the close began, was served to the end, and was then turned away.
  const { atStart, fromQueues, ended } = report.connections;
  assert.ok(atStart >= ACCEPTED * CLIENTS, told);
  assert.deepEqual([atStart + fromQueues, ended], [result.connections, result.connections], told);
  assert.equal(counts.refused, CLIENTS * (storm.pipeline ?? 1), told);
}

function assertLost({ result }: StoppedKeepAlive, t: { diagnostic(message: string): void }): void {
  assert.ok(result.lost >= 10, JSON.stringify(result));
  assert.equal(result.counts.failed, 0, JSON.stringify(result));
  t.diagnostic(`${result.lost} of ${result.counts.served + result.lost} lost`);
}
