import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { CloseReport } from '../../src/index.ts';
import { count } from '../harness/counts.ts';
import { needsPrograms } from '../harness/needs.ts';
import { prove } from '../harness/proof.ts';
import { PATHS, PROGRAMS } from './load.ts';
import type { Proxy } from './proxy.ts';
import { assertErrors, assertNoError } from './outcome.ts';
import { restartBoth, stopHeld, stopUnderLoad } from './stop-behind.ts';

/** In the accept queue of an instance that is held still: about half of all clients that ask at the same time. */
const QUEUED = 24;

/** What no client may notice: that an instance behind this proxy is stopped. */
export function hidesStops(proxy: Proxy): void {
  const skip = needsPrograms(proxy.program, ...PROGRAMS, 'setpriv');

  suite(`undici, axios, got, fetch, curl and wrk behind ${proxy.name}`, { skip }, () => {
    const ofLoad = prove(`the users of ${proxy.name} when one of two instances is stopped`);

    test('see no error when one of two instances is stopped', async (t) => {
      for (let stop = 1; stop <= count(20); stop++) {
        await t.test(`stop ${stop}`, async (t) => {
          const stopped = await stopUnderLoad(proxy, 'graceful');
          assertNoError(t, stopped);
          assertAccounted(stopped.report);
          const connections = stopped.report?.connections.atStart ?? 0;
          assert.ok(connections >= PATHS.length, 'the proxy had connections to it');
          ofLoad.held(t, { connections });
        });
      }
    });

    test('control: see errors when its server is closed and it exits', async (t) => {
      ofLoad.lost(t, assertErrors(t, await stopUnderLoad(proxy, 'exit at once')));
    });

    const ofQueue = prove(`the users of ${proxy.name} in the accept queue of an instance that is stopped`);

    test('see no error when an instance is stopped that was held still', async (t) => {
      const stopped = await stopHeld(proxy, 'graceful', QUEUED);
      assertNoError(t, stopped);
      assertAccounted(stopped.report);
      const queued = stopped.report?.listeners[0]?.queued ?? 0;
      assert.ok(queued >= QUEUED / 2, `the queue held ${queued} when the gate shut`);
      ofQueue.held(t, { queued });
    });

    test('control: see errors even when it exits only once its server has closed', async (t) => {
      ofQueue.lost(t, assertErrors(t, await stopHeld(proxy, 'exit when closed', QUEUED)));
    });

    const ofRestarts = prove(`the users of ${proxy.name} when both instances are restarted`);

    test('see no error when both instances are restarted, the second once the first serves', async (t) => {
      const stopped = await restartBoth(proxy, 'serves');
      assertNoError(t, stopped);
      ofRestarts.held(t, { requests: stopped.requests });
    });

    test('control: see errors when both exit and are restarted', async (t) => {
      ofRestarts.lost(t, assertErrors(t, await restartBoth(proxy, 'serves', 'exit at once')));
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
