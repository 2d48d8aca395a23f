import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prove } from '../harness/proof.ts';
import { labMissing } from '../lab/lab.ts';
import type { LabConnection } from '../lab/lab-connection.ts';
import type { How } from './lab/close-server-messages.ts';
import { halfOpen, queuedWithRequest } from './lab/place.ts';
import {
  connect,
  LAB_TIMEOUT,
  openScene,
  openScenery,
  type Placed,
  REFUSED,
  RESET,
  type Scene,
  type Scenery,
  SERVED,
} from './lab/scene.ts';

const SILENT = 200;
const HANDSHAKE_WAIT = 1_500;
// Far less than the 63 s that the kernel would wait; room for a host with more to do.
const SLACK = 2_000;

const options = { skip: labMissing, timeout: LAB_TIMEOUT };
const proof = prove(`real clients among ${SILENT} handshakes that never complete`);

interface Crowd {
  readonly scene: Scene;
  readonly real: readonly Placed[];
  readonly silent: readonly LabConnection[];
}

/** Shuts the gate in front of a client half-open, one queued, and so many whose SYN-ACKs are lost. */
async function shutInFrontOfAll(scenery: Scenery, how: How): Promise<Crowd> {
  const { wire } = scenery.lab;
  const scene = await openScene(scenery, how, { listen: { backlog: 511 } });
  const shut = { how, options: { handshakeWait: HANDSHAKE_WAIT } } as const;
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
  return { scene, real, silent };
}

test(
  '200 handshakes that never complete hold a close up for handshakeWait and no longer, and whoever is real is served',
  options,
  async (t) => {
    await using scenery = await openScenery();
    const { scene, real, silent } = await shutInFrontOfAll(scenery, 'graceful');
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
      left: 0,
      cookies: 0,
    });
    assert.equal(report.outcome, 'complete');
    assert.equal(report.connections.fromQueues, 2);
    assert.ok(closedAfter >= HANDSHAKE_WAIT - 100, `${closedAfter}`);
    assert.ok(report.duration < HANDSHAKE_WAIT + SLACK, `${report.duration}`);
    // None of them was ever connected; they are refused at their next SYN.
    for (const connection of silent) assert.deepEqual(await connection.closed, REFUSED);
    proof.held(t, { queued: listener.queued, halfOpen: listener.halfOpen });
  },
);

test('control: a plain close resets whoever is real among them', options, async (t) => {
  await using scenery = await openScenery();
  const { real } = await shutInFrontOfAll(scenery, 'plain');
  for (const { connection } of real) assert.deepEqual(await connection.closed, RESET);
  proof.lost(t, real.length);
});
