import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { CloseReport } from '../../src/index.ts';
import { count } from '../harness/counts.ts';
import { PATHS, PROGRAMS } from './load.ts';
import { missing, type Proxy } from './proxy.ts';
import { assertErrors, assertNoError } from './outcome.ts';
import { restartBoth, stopHeldUp, stopUnderLoad } from './stop-behind.ts';

/** In the accept queue of an instance that is held up: about half of all clients that ask at the same time. */
const QUEUED = 24;

/** What no client may notice: that an instance behind this proxy is stopped. */
export function hidesStops(proxy: Proxy): void {
  const skip = missing(proxy.program, ...PROGRAMS, 'setpriv');

  suite(`undici, axios, got, fetch, curl and wrk behind ${proxy.name}`, { skip }, () => {
    test('see no error when one of two instances is stopped', async (t) => {
      for (let stop = 1; stop <= count(20); stop++) {
        await t.test(`stop ${stop}`, async (t) => {
          const stopped = await stopUnderLoad(t, proxy, 'graceful');
          assertNoError(t, stopped);
          assertAccounted(stopped.report);
          assert.ok((stopped.report?.connections.atStart ?? 0) >= PATHS.length, 'the proxy had connections to it');
        });
      }
    });

    test('control: see errors when its server is closed and it exits', async (t) => {
      assertErrors(t, await stopUnderLoad(t, proxy, 'exit at once'));
    });

    test('see no error when an instance is stopped that was held up', async (t) => {
      const stopped = await stopHeldUp(t, proxy, 'graceful', QUEUED);
      assertNoError(t, stopped);
      assertAccounted(stopped.report);
      const queued = stopped.report?.listeners[0]?.queued ?? 0;
      assert.ok(queued >= QUEUED / 2, `the queue held ${queued} when the gate shut`);
    });

    test('control: see errors even when it exits only once its server has closed', async (t) => {
      assertErrors(t, await stopHeldUp(t, proxy, 'exit when closed', QUEUED));
    });

    test('see no error when both instances are restarted, the second once the first serves', async (t) => {
      assertNoError(t, await restartBoth(t, proxy, 'serves'));
    });
  });
}

/** Each connection is accounted for, and none is cut. */
function assertAccounted(report: CloseReport | undefined): void {
  assert.ok(report !== undefined);
  const { atStart, fromQueues, ended, cut } = report.connections;
  assert.equal(atStart + fromQueues, ended + cut.length);
  assert.deepEqual(cut, []);
}
