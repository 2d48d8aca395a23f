import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { certificateMissing, makeCertificate } from '../harness/certificate.ts';
import type { WebSocketClient } from '../fixtures/connection/websocket/websocket-clients.ts';
import {
  assertAllAnswered,
  assertAllToldAndNothingMissing,
  putUnderLoad,
  startWebSockets,
  stopped,
} from './stop-websockets.ts';

const MANY = 1_000;
/** Both sides talk. */
const TALKING = { clients: MANY, sayEvery: 500 };

describe(`${MANY} WebSockets under a load of messages`, { timeout: 180_000 }, () => {
  for (const { how, given } of [
    { how: "through the server's object", given: true },
    { how: 'by a raw Close frame, the server object not given', given: false },
  ]) {
    it(`are told 1001 ${how}, and miss no message`, async (t) => {
      const scene = await startWebSockets(t, TALKING);
      await putUnderLoad(scene, 5);
      scene.server.order({ close: { given } });
      const { report, pairs } = await stopped(scene);
      assertAllAnswered(report, MANY);
      assert.equal(report.connections.atStart, MANY);
      assertAllToldAndNothingMissing(pairs, { given });
      t.diagnostic(`${Math.round(report.duration)} ms`);
    });

    it(`are told the program's own code and reason ${how}`, async (t) => {
      const scene = await startWebSockets(t, TALKING);
      await putUnderLoad(scene, 3);
      const webSocketClose = { code: 1012, reason: 'wir sind gleich zurück' };
      scene.server.order({ close: { given, options: { webSocketClose } } });
      const { report, pairs } = await stopped(scene);
      assertAllAnswered(report, MANY);
      assertAllToldAndNothingMissing(pairs, { given, ...webSocketClose });
    });
  }

  it('control: are told nothing (1006) by server.close() and the end of the process', async (t) => {
    const scene = await startWebSockets(t, TALKING);
    await putUnderLoad(scene, 3);
    scene.server.order({ plain: true });
    const ended = await scene.clients.next<readonly WebSocketClient[]>('ended');
    assert.equal(ended.length, MANY);
    assert.deepEqual([...new Set(ended.map(({ code }) => code))], [1006]);
  });
});

describe('WebSocket farewells', { timeout: 180_000 }, () => {
  const SPREAD = 1_500;
  for (const given of [true, false]) {
    it(`are spread over the time that is given, ${given ? 'with' : 'without'} the server's object`, async (t) => {
      const scene = await startWebSockets(t, { clients: 300 });
      await putUnderLoad(scene, 2);
      scene.server.order({ close: { given, options: { spread: SPREAD } } });
      const { report, pairs } = await stopped(scene);
      assertAllAnswered(report, 300);
      assertAllToldAndNothingMissing(pairs, { given });
      const fifths = inFifths(pairs.map(({ client }) => client));
      t.diagnostic(`clients told in each fifth of the time: ${fifths.join(' ')}`);
      for (const told of fifths) assert(told >= 15 && told <= 150, String(fifths));
    });
  }

  it('control: come all together where no time is given', async (t) => {
    const scene = await startWebSockets(t, { clients: 300 });
    scene.server.order({ close: { given: true } });
    const { pairs } = await stopped(scene);
    const times = pairs.map(({ client }) => client.at);
    assert(Math.max(...times) - Math.min(...times) < SPREAD / 2);
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
});

describe('a WebSocket', { timeout: 180_000 }, () => {
  for (const { how, given, hidden } of [
    { how: "through the server's object", given: true, hidden: false },
    { how: 'by a raw Close frame', given: false, hidden: false },
    // Of such a one nobody can tell what it is compressing, only that it has sent nothing for a while.
    { how: 'by a raw Close frame, of a package that is not known', given: false, hidden: true },
  ]) {
    it(`with permessage-deflate gets what is still to be compressed before its Close, ${how}`, async (t) => {
      const clients = hidden ? 20 : 200;
      const scene = await startWebSockets(t, { clients, deflate: true, hidden });
      if (!hidden) await putUnderLoad(scene, 5);
      scene.server.order({ close: { given } });
      const { report, pairs, compressing } = await stopped(scene);
      assertAllAnswered(report, clients);
      assertAllToldAndNothingMissing(pairs, { given });
      assert.equal(compressing, clients);
      t.diagnostic(`${Math.round(report.duration)} ms`);
    });
  }

  for (const given of [true, false]) {
    const how = given ? "the server's object given" : 'by a raw Close frame';
    it(`over TLS misses no message before its Close, ${how}`, { skip: certificateMissing }, async (t) => {
      const { key, cert } = makeCertificate();
      const scene = await startWebSockets(t, { clients: 100, sayEvery: 100, key: String(key), cert: String(cert) });
      await putUnderLoad(scene, 5);
      scene.server.order({ close: { given } });
      const { report, pairs } = await stopped(scene);
      assertAllAnswered(report, 100);
      assertAllToldAndNothingMissing(pairs, { given });
    });

    it(`that never answers its Close is ended after lingerWait, ${how}`, async (t) => {
      const scene = await startWebSockets(t, { clients: 20 });
      scene.clients.order({ connect: { port: scene.port, clients: 5, first: 20, kind: 'mute' } });
      await scene.clients.next('opened');
      scene.server.order({ close: { given, options: { lingerWait: 500 } } });
      const { report, pairs } = await stopped(scene);
      assert.deepEqual([report.outcome, report.connections.ended], ['complete', 25]);
      assert.deepEqual(report.connections.farewells, { said: 25, answered: 20, unanswered: 5 });
      assert(report.duration >= 500 && report.duration < 5_000, `${report.duration} ms`);
      assert.deepEqual([...new Set(pairs.map(({ client }) => client.code))], [1001]);
    });

    it(`that is upgraded during the close, out of the queue, gets its Close, too, ${how}`, async (t) => {
      const scene = await startWebSockets(t, undefined);
      scene.server.order({ standStill: true, close: { given } });
      await scene.server.next('standsStill');
      scene.clients.order({ connect: { port: scene.port, clients: 50 } });
      await scene.clients.next('connected');
      scene.server.goOn();
      const { report, pairs } = await stopped(scene);
      assert.deepEqual([report.listeners[0]?.queued, report.connections.fromQueues], [50, 50]);
      assertAllAnswered(report, 50);
      assertAllToldAndNothingMissing(pairs, { given });
      for (const { client } of pairs) assert.equal(client.received, 1, 'the greeting');
    });

    it(`that reads slowly gets megabytes that were unsent when the close began, then its Close, ${how}`, async (t) => {
      const scene = await startWebSockets(t, { clients: 10, kind: 'paused' });
      scene.server.order({ burst: { messages: 80, size: 65_536 } });
      const unsent = await scene.server.next<number>('unsent');
      assert(unsent > 500_000, `${unsent} bytes were unsent`);
      scene.server.order({ close: { given } });
      scene.clients.order({ read: true });
      const { report, pairs } = await stopped(scene);
      assertAllAnswered(report, 10);
      assertAllToldAndNothingMissing(pairs, { given });
      assert(report.duration > 1_000, `${report.duration} ms`);
    });
  }

  it('control: that reads slowly misses messages, and is told nothing, when the process ends', async (t) => {
    const scene = await startWebSockets(t, { clients: 10, kind: 'paused' });
    scene.server.order({ burst: { messages: 80, size: 65_536 } });
    await scene.server.next('unsent');
    scene.server.order({ plain: true });
    await scene.server.ended;
    scene.clients.order({ read: true });
    const ended = await scene.clients.next<readonly WebSocketClient[]>('ended');
    for (const { code, received } of ended) assert(code === 1006 && received < 81, `${code}, ${received}`);
  });

  it('control: that is still in the queue is reset when the process ends', async (t) => {
    const scene = await startWebSockets(t, undefined);
    scene.server.order({ standStill: true, plain: true });
    await scene.server.next('standsStill');
    scene.clients.order({ connect: { port: scene.port, clients: 50 } });
    await scene.clients.next('connected');
    scene.server.goOn();
    const ended = await scene.clients.next<readonly WebSocketClient[]>('ended');
    for (const { code, received } of ended) assert.deepEqual([code, received], [1006, 0]);
  });
});
