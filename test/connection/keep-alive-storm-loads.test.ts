import { suite, test } from 'node:test';
import type { Way } from '../fixtures/connection/http1/http-keep-alive-server.ts';
import { count } from '../harness/counts.ts';
import { labMissing } from '../lab/lab.ts';
import { CLIENTS, countLost, ONE_BY_ONE, stopKeepAlive } from './keep-alive-server-driver.ts';
import { testKeepAliveStorm } from './keep-alive-storm-tests.ts';

const STOPS = count(20, 1);

testKeepAliveStorm(
  'each pipelining three requests',
  {
    wire: { delay: 10 },
    storm: { pipeline: 3, tellAfter: 6 * CLIENTS },
    // The close is to find requests that were read and have no answer yet.
    answerAfter: 5,
  },
  STOPS,
);

testKeepAliveStorm(
  'each posting 64 kB',
  { wire: { delay: 10 }, storm: { bodyBytes: 65_536, tellAfter: CLIENTS } },
  STOPS,
);

testKeepAliveStorm(
  'over a round trip of 100 ms with 1 % loss each way',
  { wire: { delay: 50, loss: 0.01 }, storm: { tellAfter: 2 * CLIENTS } },
  STOPS,
);

suite(`${CLIENTS} keep-alive clients, each with one request at a time`, { skip: labMissing }, () => {
  for (const way of ['http-terminator', 'stoppable', 'http-graceful-shutdown'] satisfies readonly Way[]) {
    test(`control: lose requests when ${way} stops the server`, { timeout: 60_000 }, async (t) => {
      t.diagnostic(`${countLost(await stopKeepAlive(way, ONE_BY_ONE, 1))} lost`);
    });
  }
});
