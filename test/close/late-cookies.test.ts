import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { prove } from '../harness/proof.ts';
import { type AppliedRule, labMissing } from '../lab/lab.ts';
import type { LabConnection } from '../lab/lab-connection.ts';
import { connect, LAB_TIMEOUT, openScene, openScenery, RESET, type Scene, type Scenery, SERVED } from './lab/scene.ts';
import type { How } from './lab/close-server-messages.ts';

// A client with a SYN cookie that has met a full accept queue repeats its final ACK after a time-out that doubles: the longer the
// queue has been full, the longer the client may be silent.

const options = { skip: labMissing, timeout: LAB_TIMEOUT };

/** The queue has been full for so long at the most: as long as the server listens. In ms; the passing of time is the matter here. */
const FULL_FOR = 10_000;
/** The client has been silent for so long when its cookie comes: longer than after a queue that has just been full. */
const SILENT_FOR = 8_500;

const CROWD = 8;

suite('a client whose SYN cookie comes back late', { concurrency: 2 }, () => {
  const proof = prove('a client whose SYN cookie comes back 9 s after the close began');

  test('is served, where the accept queue may have been full for longer', options, async (t) => {
    await using scenery = await openScenery();
    const { scene, crowd } = await closeWithLateCookie(scenery, 'graceful');
    assert.deepEqual(
      await outcomesOf(crowd.early),
      Array.from({ length: CROWD }, () => SERVED),
    );
    await sleep(SILENT_FOR);
    await crowd.late.held.remove();
    for (const connection of crowd.late.clients) connection.send('request');
    assert.deepEqual(await outcomesOf(crowd.late), [SERVED]);
    const { outcome, doubts, listeners } = await scene.server.next('report');
    assert.deepEqual({ outcome, doubts }, { outcome: 'complete', doubts: [] });
    proof.held(t, { 'cookies sent': CROWD + 1, queued: listeners[0]?.queued });
  });

  test('control: is reset after a plain close', options, async (t) => {
    await using scenery = await openScenery();
    const { crowd } = await closeWithLateCookie(scenery, 'plain');
    await crowd.late.held.remove();
    for (const connection of crowd.late.clients) connection.send('request');
    assert.deepEqual(await outcomesOf(crowd.late), [RESET]);
    proof.lost(t, 1);
  });
});

test('a cookie that has not come back when the listener closes is in the report', options, async () => {
  await using scenery = await openScenery();
  await scenery.lab.server.sysctl('net.ipv4.tcp_syncookies', '2');
  const scene = await openScene(scenery, 'graceful', { listen: { backlog: 511 } });
  const { held, clients } = await scene.server.shutAfter({ how: 'graceful' }, () => answered(scene, 1));
  const { outcome, doubts, listeners } = await scene.server.next('report');
  assert.deepEqual({ outcome, cookies: listeners[0]?.cookies }, { outcome: 'forced', cookies: 1 });
  assert.match(doubts.join('\n'), /: 1 SYN cookie had not come back when it closed$/);
  // The doubt is right.
  await held.remove();
  assert.deepEqual(await outcomesOf({ held, clients }), [RESET]);
});

/** Closes a server that has listened for a while, whose queue is full, and to which one cookie has not come back. */
async function closeWithLateCookie(scenery: Scenery, how: How) {
  await scenery.lab.server.sysctl('net.ipv4.tcp_syncookies', '2');
  const scene = await openScene(scenery, how, { listen: { backlog: 2 } });
  await sleep(FULL_FOR);
  const crowd = await scene.server.shutAfter({ how, options: { deadline: 90_000 } }, async () => {
    const late = await answered(scene, 1);
    const early = await answered(scene, CROWD);
    await early.held.remove();
    // They say something, and say it again until there is room.
    for (const connection of early.clients) connection.send('request');
    await scene.lab.wire.stats();
    return { early, late };
  });
  return { scene, crowd };
}

function outcomesOf({ clients }: Answered): Promise<unknown[]> {
  return Promise.all(clients.map(({ closed }) => closed));
}

interface Answered {
  readonly clients: readonly LabConnection[];
  readonly held: AppliedRule;
}

/** Clients that have their SYN-ACKs, and whose final ACKs wait on the wire. */
async function answered(scene: Scene, count: number): Promise<Answered> {
  const finalAcks = { direction: 'to server', packet: 'final ACK', serverPort: scene.port, count } as const;
  const held = await scene.lab.wire.rule({ ...finalAcks, action: 'hold' });
  const clients = Array.from({ length: count }, () => connect(scene));
  for (const connection of clients) assert.equal(await connection.connected, 'connected');
  for (const _ of clients) await held.next();
  return { clients, held };
}
