import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { prove } from '../harness/proof.ts';
import { labMissing } from '../lab/lab.ts';
import type { Ended } from '../lab/lab-connection.ts';
import type { How } from './lab/close-server-messages.ts';
import * as place from './lab/place.ts';
import {
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

// One client at a time, the gate shut exactly between two packets of its handshake; beside each the same with a plain close.

interface Case {
  readonly client: string;
  readonly place: (scene: Scene) => Promise<Placed>;
  readonly gracefully: Ended;
  readonly plainly: Ended;
  /** What the report says of the moment at which the gate shut: that the client was where it was meant to be. */
  readonly walked: { readonly queued: number; readonly halfOpen: number };
}

const NOT_THERE = { queued: 0, halfOpen: 0 };
const HALF_OPEN = { queued: 0, halfOpen: 1 };
const QUEUED = { queued: 1, halfOpen: 0 };
const GONE = { received: '', ended: 'closed here' };

const cases: readonly Case[] = [
  {
    client: 'whose SYN is still on its way',
    place: place.beforeSyn,
    gracefully: REFUSED,
    plainly: REFUSED,
    walked: NOT_THERE,
  },
  {
    client: 'whose SYN-ACK is on its way',
    place: place.beforeSynAck,
    gracefully: SERVED,
    plainly: RESET,
    walked: HALF_OPEN,
  },
  // Refused by a plain close, not reset: without its SYN-ACK it was not connected. Gracefully it is served all the same.
  {
    client: 'whose SYN-ACK was lost',
    place: place.synAckLost,
    gracefully: SERVED,
    plainly: REFUSED,
    walked: HALF_OPEN,
  },
  {
    client: 'whose SYN-ACK was lost again and again',
    place: place.synAckLostAgain,
    gracefully: SERVED,
    plainly: REFUSED,
    walked: HALF_OPEN,
  },
  {
    client: 'whose final ACK was lost',
    place: place.finalAckLost,
    gracefully: SERVED,
    plainly: RESET,
    walked: HALF_OPEN,
  },
  {
    client: 'whose final ACK comes a second late',
    place: place.finalAckLate,
    gracefully: SERVED,
    plainly: RESET,
    walked: HALF_OPEN,
  },
  { client: 'that is queued and silent', place: place.queued, gracefully: SERVED, plainly: RESET, walked: QUEUED },
  {
    client: 'that is queued with its request',
    place: place.queuedWithRequest,
    gracefully: SERVED,
    plainly: RESET,
    walked: QUEUED,
  },
  {
    client: 'that is queued and has half-closed',
    place: place.queuedAndEnded,
    gracefully: SERVED,
    plainly: RESET,
    walked: QUEUED,
  },
  {
    client: 'that is queued and has gone',
    place: place.queuedAndReset,
    gracefully: GONE,
    plainly: GONE,
    walked: QUEUED,
  },
];

// Each case has ports of its own, so they share a lab, and wait for their kernel timers side by side.
suite('a gate that shuts exactly between two packets', { skip: labMissing, concurrency: cases.length }, () => {
  let scenery: Scenery;
  before(async () => {
    scenery = await openScenery();
  });
  after(() => scenery[Symbol.asyncDispose]());

  for (const { client, place: bringThere, gracefully, plainly, walked } of cases) {
    const title = `a client ${client} when the gate shuts is ${inWords(gracefully)}; with a plain close it is ${inWords(plainly)}`;
    const proof = plainly === RESET ? prove(`a client ${client}`) : undefined;

    test(title, { timeout: LAB_TIMEOUT }, async (t) => {
      const close = async (how: How): Promise<{ scene: Scene; ended: Ended }> => {
        const scene = await openScene(scenery, how);
        const { connection, goOn } = await scene.server.shutAfter({ how }, () => bringThere(scene));
        await goOn();
        return { scene, ended: await connection.closed };
      };

      const [graceful, plain] = await Promise.all([close('graceful'), close('plain')]);
      assert.deepEqual(graceful.ended, gracefully);
      assert.deepEqual(plain.ended, plainly);

      const report = await graceful.scene.server.next('report');
      const { queued, halfOpen } = walked;
      assert.equal(report.outcome, 'complete');
      assert.deepEqual(report.connections.cut, []);
      assert.equal(report.connections.fromQueues, queued + halfOpen);
      const { closedAfter, ...listener } = report.listeners[0]!;
      const address = `0.0.0.0:${graceful.scene.port}`;
      assert.deepEqual(listener, { address, gate: 'refuse', ...walked, abandoned: 0, left: 0, cookies: 0 });
      assert.ok(closedAfter <= report.duration);
      proof?.held(t, walked);
      proof?.lost(t, 1);
    });
  }
});

function inWords({ ended }: Ended): string {
  const words = new Map([
    ['EOF', 'served'],
    ['ECONNRESET', 'reset'],
    ['ECONNREFUSED', 'refused'],
    ['closed here', 'let go'],
  ]);
  return words.get(ended) ?? ended;
}
