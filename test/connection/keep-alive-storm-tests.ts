import { suite, test } from 'node:test';
import { count } from '../harness/counts.ts';
import { prove } from '../harness/proof.ts';
import { labMissing } from '../lab/lab.ts';
import { assertNothingLost, CLIENTS, countLost, type Load, stopKeepAlive } from './keep-alive-server-driver.ts';

// Whoever ends a quiet kept connection may cross a request on its way: as many are lost in a stop as are sent in one round
// trip, unless the server waits for one more request on each and ends the connection with its answer.

/** Tests `stops` stops under this load, one by default in the quick level, and a control. */
export function testKeepAliveStorm(title: string, load: Load, stops: number = count(20, 1)): void {
  suite(`${CLIENTS} keep-alive clients, ${title}`, { skip: labMissing }, () => {
    const proof = prove(`${CLIENTS} keep-alive clients, ${title}`);

    test('lose no request in any stop', { timeout: 60_000 * stops }, async (t) => {
      for (let stop = 1; stop <= stops; stop += 1) {
        const stopped = await stopKeepAlive('lastcall', load, stop);
        assertNothingLost(stopped, load);
        const { result, report } = stopped;
        t.diagnostic(`${result.counts.served} served, 0 lost; closed in ${report?.duration.toFixed()} ms`);
        const { atStart, fromQueues } = report?.connections ?? {};
        proof.held(t, { kept: atStart, queued: fromQueues });
      }
    });

    test('control: lose requests when Node alone stops the server', { timeout: 60_000 }, async (t) => {
      proof.lost(t, countLost(await stopKeepAlive('server.close()', load, 1)));
    });
  });
}
