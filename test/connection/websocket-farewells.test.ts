import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { WebSocketClient } from '../fixtures/connection/websocket/websocket-clients.ts';
import { assertAllAnswered, assertAllToldAndNothingMissing, codesOf, startWebSockets } from './websocket-driver.ts';

const MANY = 1_000;
const SPREAD = 1_500;

describe('WebSocket farewells', { timeout: 180_000 }, () => {
  for (const { how, given } of [
    { how: "through the server's object", given: true },
    { how: 'by a raw Close frame, the server object not given', given: false },
  ]) {
    it(`have the program's own code and reason ${how}, under a load of messages`, async () => {
      await using scene = await startWebSockets({ clients: MANY, sayEvery: 500 });
      await scene.putUnderLoad(3);
      const webSocketClose = { code: 1012, reason: 'wir sind gleich zurück' };
      scene.orderServer({ close: { given, options: { webSocketClose } } });
      const { report, pairs } = await scene.stopped();
      assertAllAnswered(report, MANY);
      assertAllToldAndNothingMissing(pairs, { given, ...webSocketClose });
    });
  }

  for (const given of [true, false]) {
    it(`are spread over the time that is given, ${given ? 'with' : 'without'} the server's object`, async (t) => {
      await using scene = await startWebSockets({ clients: 300 });
      await scene.putUnderLoad(2);
      scene.orderServer({ close: { given, options: { spread: SPREAD } } });
      const { report, pairs } = await scene.stopped();
      assertAllAnswered(report, 300);
      assertAllToldAndNothingMissing(pairs, { given });
      const fifths = inFifths(pairs.map(({ client }) => client));
      t.diagnostic(`clients told in each fifth of the time: ${fifths.join(' ')}`);
      for (const told of fifths) assert(told >= 15 && told <= 150, String(fifths));
    });
  }

  it('control: come all together where no time is given', async () => {
    await using scene = await startWebSockets({ clients: 300 });
    scene.orderServer({ close: { given: true } });
    const { pairs } = await scene.stopped();
    const times = pairs.map(({ client }) => client.at);
    assert(Math.max(...times) - Math.min(...times) < SPREAD / 2);
  });

  for (const given of [true, false]) {
    const how = given ? "the server's object given" : 'by a raw Close frame';
    it(`that are never answered end the connection after lingerWait, ${how}`, async () => {
      await using scene = await startWebSockets({ clients: 20 });
      scene.beginConnecting({ clients: 5, first: 20, kind: 'mute' });
      await scene.clients.next('opened');
      scene.orderServer({ close: { given, options: { lingerWait: 500 } } });
      const { report, pairs } = await scene.stopped();
      const { ended, farewells } = report.connections;
      assert.deepEqual(
        { outcome: report.outcome, ended, farewells },
        { outcome: 'complete', ended: 25, farewells: { said: 25, answered: 20, unanswered: 5 } },
      );
      assert(report.duration >= 500 && report.duration < 5_000, `${report.duration} ms`);
      assert.deepEqual(codesOf(pairs.map(({ client }) => client)), new Set([1001]));
    });
  }
});

/** How many clients ended in each fifth of the spread, counted from the first. */
function inFifths(clients: readonly WebSocketClient[]): readonly number[] {
  const first = Math.min(...clients.map(({ at }) => at));
  const last = Math.max(...clients.map(({ at }) => at));
  assert(last - first >= SPREAD * 0.8 && last - first <= SPREAD * 2, `${last - first} ms`);
  const fifths = Array.from({ length: 5 }, () => 0);
  for (const { at } of clients) {
    const fifth = Math.min(4, Math.floor(((at - first) / (last - first)) * 5));
    fifths[fifth] = (fifths[fifth] ?? 0) + 1;
  }
  return fifths;
}
