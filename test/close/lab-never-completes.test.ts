import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labMissing } from '../lab/lab.ts';
import { halfOpen, queuedWithRequest } from './lab/place.ts';
import { connect, LAB_TIMEOUT, openScene, openScenery, REFUSED, SERVED } from './lab/scene.ts';

const SILENT = 200;
const HANDSHAKE_WAIT = 1_500;
// Far less than the 63 s that the kernel would wait; room for a host with more to do.
const SLACK = 2_000;

test('200 handshakes that never complete hold a close up for handshakeWait and no longer, and whoever is real is served', {
  skip: labMissing,
  timeout: LAB_TIMEOUT,
}, async () => {
  await using scenery = await openScenery();
  const { wire } = scenery.lab;
  const scene = await openScene(scenery, 'graceful', { listen: { backlog: 511 } });
  const shut = { how: 'graceful', options: { handshakeWait: HANDSHAKE_WAIT } } as const;
  const { real, silent } = await scene.server.shutAfter(shut, async () => {
    const real = [await halfOpen(scene), await queuedWithRequest(scene)];
    const answers = {
      direction: 'to client',
      packet: 'SYN-ACK',
      serverPort: scene.port,
      count: Infinity,
      action: 'drop',
    } as const;
    const lost = await wire.rule(answers);
    const silent = Array.from({ length: SILENT }, () => connect(scene));
    const unanswered = new Set<number>();
    while (unanswered.size < SILENT) unanswered.add((await lost.next()).clientPort);
    return { real, silent };
  });
  for (const { goOn } of real) await goOn();
  for (const { connection } of real) assert.deepEqual(await connection.closed, SERVED);

  const report = await scene.server.next('report');
  const { closedAfter, ...listener } = report.listeners[0]!;
  const address = `0.0.0.0:${scene.port}`;
  assert.deepEqual(listener, {
    address,
    gate: 'refuse',
    queued: 1,
    halfOpen: SILENT + 1,
    abandoned: SILENT,
    cookies: 0,
  });
  assert.equal(report.outcome, 'complete');
  assert.equal(report.connections.fromQueues, 2);
  assert.ok(closedAfter >= HANDSHAKE_WAIT - 100, `${closedAfter}`);
  assert.ok(report.duration < HANDSHAKE_WAIT + SLACK, `${report.duration}`);
  // None of them was ever connected; they are refused at their next SYN.
  for (const connection of silent) assert.deepEqual(await connection.closed, REFUSED);
});
