import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms } from '../harness/needs.ts';
import { prove } from '../harness/proof.ts';
import {
  assertAllAnswered,
  assertAllToldAndNothingMissing,
  codesOf,
  startWebSockets,
  type WebSocketScene,
} from './websocket-driver.ts';

describe('a WebSocket with permessage-deflate', { timeout: 180_000 }, () => {
  const proof = prove('WebSocket messages that are still to be compressed');

  for (const { how, given, hidden } of [
    { how: "through the server's object", given: true, hidden: false },
    { how: 'by a raw Close frame', given: false, hidden: false },
    // Of such a one nobody can tell what it is compressing, only that it has sent nothing for a while.
    { how: 'by a raw Close frame, of a package that is not known', given: false, hidden: true },
  ]) {
    it(`gets what is still to be compressed before its Close, ${how}`, async (t) => {
      const clients = hidden ? 20 : 200;
      await using scene = await startWebSockets({ clients, deflate: true, hidden });
      if (!hidden) await scene.putUnderLoad(5);
      scene.orderServer({ close: { given } });
      const { report, pairs, compressing } = await scene.stopped();
      assertAllAnswered(report, clients);
      assertAllToldAndNothingMissing(pairs, { given });
      assert.equal(compressing, clients);
      t.diagnostic(`${Math.round(report.duration)} ms`);
      proof.held(t, { compressing });
    });
  }

  it('control: misses what is still to be compressed when the process ends', async (t) => {
    await using scene = await startWebSockets({ clients: 20, deflate: true });
    scene.orderServer({ burst: { messages: 3, size: 1_000 }, plain: true });
    const ended = await scene.clients.next('ended');
    // One greeting and three messages were sent to each.
    const missed = ended.filter(({ received }) => received < 4).length;
    assert.deepEqual({ missed, codes: codesOf(ended) }, { missed: 20, codes: new Set([1006]) });
    proof.lost(t, missed);
  });
});

describe('a WebSocket over TLS', { timeout: 180_000, skip: needsPrograms('openssl') }, () => {
  const proof = prove('WebSockets over TLS under a load of messages');

  for (const given of [true, false]) {
    it(`misses no message before its Close, ${howOf(given)}`, async (t) => {
      await using scene = await startOverTls();
      scene.orderServer({ close: { given } });
      const { report, pairs } = await scene.stopped();
      assertAllAnswered(report, 100);
      assertAllToldAndNothingMissing(pairs, { given });
      proof.held(t, { connections: report.connections.atStart });
    });
  }

  it('control: is told nothing when the process ends', async (t) => {
    await using scene = await startOverTls();
    scene.orderServer({ plain: true });
    const ended = await scene.clients.next('ended');
    assert.deepEqual(codesOf(ended), new Set([1006]));
    proof.lost(t, ended.length);
  });

  async function startOverTls(): Promise<WebSocketScene> {
    const { key, cert } = makeCertificate();
    const scene = await startWebSockets({ clients: 100, sayEvery: 100, key: String(key), cert: String(cert) });
    await scene.putUnderLoad(5);
    return scene;
  }
});

describe('a WebSocket that is upgraded during the close, out of the queue', { timeout: 180_000 }, () => {
  const CLIENTS = 50;
  const proof = prove('WebSockets whose upgrade waits in the accept queue');

  for (const given of [true, false]) {
    it(`gets its Close, too, ${howOf(given)}`, async (t) => {
      await using scene = await startWebSockets();
      scene.orderServer({ standStill: true, close: { given } });
      await connectQueued(scene);
      const { report, pairs } = await scene.stopped();
      const queued = report.listeners[0]?.queued;
      assert.deepEqual({ queued, fromQueues: report.connections.fromQueues }, { queued: CLIENTS, fromQueues: CLIENTS });
      assertAllAnswered(report, CLIENTS);
      assertAllToldAndNothingMissing(pairs, { given });
      for (const { client } of pairs) assert.equal(client.received, 1, 'the greeting');
      proof.held(t, { queued });
    });
  }

  it('control: is reset when the process ends', async (t) => {
    await using scene = await startWebSockets();
    scene.orderServer({ standStill: true, plain: true });
    await connectQueued(scene);
    const ended = await scene.clients.next('ended');
    for (const { code, received } of ended) assert.deepEqual({ code, received }, { code: 1006, received: 0 });
    proof.lost(t, ended.length);
  });

  /** Fills the accept queue of the server that stands still, and lets it go on. */
  async function connectQueued(scene: WebSocketScene): Promise<void> {
    await scene.server.next('standsStill');
    scene.beginConnecting({ clients: CLIENTS });
    await scene.clients.next('connected');
    scene.server.write('\n');
  }
});

describe('a WebSocket that reads slowly', { timeout: 180_000 }, () => {
  const CLIENTS = 10;
  const BURST = { messages: 80, size: 65_536 };
  const proof = prove('WebSockets with megabytes that are still to be sent');

  for (const given of [true, false]) {
    it(`gets megabytes that were unsent when the close began, then its Close, ${howOf(given)}`, async (t) => {
      await using scene = await startWebSockets({ clients: CLIENTS, kind: 'paused' });
      scene.orderServer({ burst: BURST });
      const unsent = await scene.server.next('unsent');
      assert(unsent > 500_000, `${unsent} bytes were unsent`);
      scene.orderServer({ close: { given } });
      scene.orderClients({ read: true });
      const { report, pairs } = await scene.stopped();
      assertAllAnswered(report, CLIENTS);
      assertAllToldAndNothingMissing(pairs, { given });
      assert(report.duration > 1_000, `${report.duration} ms`);
      proof.held(t, { 'bytes unsent to each': unsent });
    });
  }

  it('control: misses messages, and is told nothing, when the process ends', async (t) => {
    await using scene = await startWebSockets({ clients: CLIENTS, kind: 'paused' });
    scene.orderServer({ burst: BURST });
    await scene.server.next('unsent');
    scene.orderServer({ plain: true });
    await scene.server.ended;
    scene.orderClients({ read: true });
    const ended = await scene.clients.next('ended');
    for (const { code, received } of ended) assert(code === 1006 && received < 81, `${code}, ${received}`);
    proof.lost(t, ended.length);
  });
});

function howOf(given: boolean): string {
  return given ? "the server's object given" : 'by a raw Close frame';
}
