import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import { count } from '../harness/counts.ts';
import { needsPrograms } from '../harness/needs.ts';
import { prove } from '../harness/proof.ts';
import { haproxyThatAsks } from './haproxy.ts';
import { nginx } from './nginx.ts';
import { type Roll, roll } from './rolling.ts';

const ROLLS = count(10);

suite('wrk and a storm behind HAProxy, whose checks ask for /ready', {
  skip: needsPrograms('haproxy', 'wrk', 'setpriv'),
}, () => {
  const proof = prove('wrk and a storm behind HAProxy, in rolling restarts');

  test(`see no error in ${ROLLS} rolling restarts of services with a lame duck`, async (t) => {
    for (let count = 1; count <= ROLLS; count += 1) {
      await t.test(`roll ${count}`, async (t) => {
        const rolled = await roll(haproxyThatAsks, 'lame duck');
        assertNoError(t, rolled);
        for (const { sinceSignal } of rolled.stopped) {
          assert.ok(sinceSignal.unready > 0, 'a check heard that it is not ready');
        }
        // HAProxy had taken each out before its gate shut.
        assert.match(rolled.noticed, /^0 retries, 0 redispatches, 0 failed connections/);
        proof.held(t, { 'open at the signal': openAtSignal(rolled) });
      });
    }
  });

  test('control: without a lame duck it meets refusals, and redispatches', async (t) => {
    const { errors, noticed } = await roll(haproxyThatAsks, 'last call');
    t.diagnostic(`the proxy saw ${noticed}`);
    assert.deepEqual(errors, []);
    assert.match(noticed, /[1-9]\d* redispatches/);
  });

  test('control: see errors where each closes its server and exits', async (t) => {
    proof.lost(t, assertErrors(t, await roll(haproxyThatAsks, 'exit at once')));
  });
});

suite('wrk and a storm behind nginx, which asks nobody', { skip: needsPrograms('nginx', 'wrk', 'setpriv') }, () => {
  const proof = prove('wrk and a storm behind nginx, in rolling restarts');

  test(`see no error in ${ROLLS} rolling restarts`, async (t) => {
    for (let count = 1; count <= ROLLS; count += 1) {
      await t.test(`roll ${count}`, async (t) => {
        const rolled = await roll(nginx, 'last call');
        assertNoError(t, rolled);
        for (const { report } of rolled.stopped) {
          const { atStart, fromQueues } = report.connections;
          assert.ok(atStart + fromQueues > 0, 'nginx had connections to it when its gate shut');
        }
        assert.match(rolled.noticed, /^[1-9]\d* refused connections, 0 other errors$/);
        proof.held(t, { 'open at the signal': openAtSignal(rolled) });
      });
    }
  });

  test('control: see errors where each closes its server and exits', async (t) => {
    proof.lost(t, assertErrors(t, await roll(nginx, 'exit at once')));
  });
});

/** And each instance was stopped under load, and has accounted for each of its connections. */
function assertNoError(t: TestContext, rolled: Roll): void {
  const { requests, errors, stopped, noticed } = rolled;
  t.diagnostic(`${requests} requests, ${errors.length} errors; the proxy saw ${noticed}`);
  assert.deepEqual(errors, []);
  assert.equal(stopped.length, 3);
  for (const { report, sinceSignal } of stopped) {
    const { open, served, unready } = sinceSignal;
    const { atStart, fromQueues, ended, cut } = report.connections;
    const left = `${atStart} connections and ${fromQueues} from the queue at the gate`;
    t.diagnostic(`${open} open at the signal, ${served} served since, ${unready} checks answered 503; ${left}`);
    assert.deepEqual(
      { outcome: report.outcome, cut, errors: report.errors },
      { outcome: 'complete', cut: [], errors: [] },
    );
    assert.equal(atStart + fromQueues, ended);
    assert.ok(open > 0 && served > 0, `${open} connections were open, ${served} requests were served after the signal`);
  }
}

/** Returns how many there were. */
function assertErrors(t: TestContext, { requests, errors, noticed }: Roll): number {
  t.diagnostic(`${requests} requests, ${errors.length} errors (${errors[0]}); the proxy saw ${noticed}`);
  assert.ok(errors.length > 0, `${requests} requests`);
  return errors.length;
}

/** Connections that were open when the signal came, of all that were stopped. */
function openAtSignal({ stopped }: Roll): number {
  return stopped.reduce((sum, { sinceSignal }) => sum + sinceSignal.open, 0);
}
