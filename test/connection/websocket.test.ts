import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { count } from '../harness/counts.ts';
import { prove } from '../harness/proof.ts';
import { assertAllAnswered, assertAllToldAndNothingMissing, codesOf, startWebSockets } from './websocket-driver.ts';

const MANY = count(1_000, 250);
/** Both sides talk. */
const TALKING = { clients: MANY, sayEvery: 500 };

describe(`${MANY} WebSockets under a load of messages`, { timeout: 180_000 }, () => {
  const proof = prove(`${MANY} WebSockets under a load of messages`);

  for (const { how, given } of [
    { how: "through the server's object", given: true },
    { how: 'by a raw Close frame, the server object not given', given: false },
  ]) {
    it(`are told 1001 ${how}, and miss no message`, async (t) => {
      await using scene = await startWebSockets(TALKING);
      await scene.putUnderLoad(5);
      scene.orderServer({ close: { given } });
      const { report, pairs } = await scene.stopped();
      assertAllAnswered(report, MANY);
      assert.equal(report.connections.atStart, MANY);
      assertAllToldAndNothingMissing(pairs, { given });
      t.diagnostic(`${Math.round(report.duration)} ms`);
      proof.held(t, { connections: report.connections.atStart });
    });
  }

  it('control: are told nothing (1006) by server.close() and the end of the process', async (t) => {
    await using scene = await startWebSockets(TALKING);
    await scene.putUnderLoad(3);
    scene.orderServer({ plain: true });
    const ended = await scene.clients.next('ended');
    assert.equal(ended.length, MANY);
    assert.deepEqual(codesOf(ended), new Set([1006]));
    proof.lost(t, ended.length);
  });
});
