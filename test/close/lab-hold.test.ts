import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { prove } from '../harness/proof.ts';
import { type Lab, labMissing } from '../lab/lab.ts';
import { nextLocalPort } from '../lab/lab-client.ts';
import type { LabConnection } from '../lab/lab-connection.ts';
import { CloseServer } from './lab/close-server-driver.ts';
import { halfOpen, queuedWithRequest } from './lab/place.ts';
import {
  connect,
  LAB_TIMEOUT,
  openScene,
  openScenery,
  REFUSED,
  RESET,
  type Scene,
  type Scenery,
  SERVED,
} from './lab/scene.ts';
import { checkNobodyLost, closeAtTheCore, noteProof } from './lab/turn-away.ts';

const held = prove('clients of a close with `hold`');

const options = { skip: labMissing, timeout: LAB_TIMEOUT };

// RFC 3168 6.1.1: a SYN that asks for ECN has CWR and ECE set too.
const ECN_SYN = 0xc2;
const SYN = 0x02;

const NOBODY = { uid: 65_534, gid: 65_534 };

test(
  'with `hold` a new client gets no answer, and is refused at its retransmission once nobody listens',
  options,
  async (t) => {
    await using scenery = await openScenery();
    const { newcomer, flags, tryAgain } = await closeWithHold(t, scenery);
    assert.equal(flags, SYN);
    await tryAgain();
    assert.deepEqual(await newcomer.closed, REFUSED);
  },
);

test(
  'control: a plain close resets the clients that `hold` keeps, and refuses a new one at once',
  options,
  async (t) => {
    await using scenery = await openScenery();
    const { halfOpen: waiting, queued, newcomers } = await closeAtTheCore(scenery, 'plain');
    assert.deepEqual(
      { waiting, queued, newcomers },
      { waiting: [RESET], queued: [RESET], newcomers: ['ECONNREFUSED'] },
    );
    held.lost(t, waiting.length + queued.length);
  },
);

test('with `hold` a new client is served at its retransmission by whoever listens then', options, async (t) => {
  await using scenery = await openScenery();
  const { scene, newcomer, tryAgain } = await closeWithHold(t, scenery);
  await CloseServer.start(scenery.lab.server, { listen: { host: '0.0.0.0', port: scene.port } });
  await tryAgain();
  assert.deepEqual(await newcomer.closed, SERVED);
});

test('with `hold` a SYN that asks for ECN is held like any other', options, async (t) => {
  await using scenery = await openScenery();
  await askForEcn(scenery.lab);
  const { newcomer, flags, tryAgain } = await closeWithHold(t, scenery);
  assert.equal(flags, ECN_SYN);
  await tryAgain();
  assert.deepEqual(await newcomer.closed, REFUSED);
});

const ecn = prove('clients of a host that asks for ECN');

test('with `refuse` a SYN that asks for ECN is refused like any other', options, async (t) => {
  await using scenery = await openScenery();
  await askForEcn(scenery.lab);
  const rule = { direction: 'to server', packet: 'SYN', action: 'report', count: Infinity } as const;
  const syns = await scenery.lab.wire.rule(rule);
  const [graceful, plain] = [await closeAtTheCore(scenery, 'graceful'), await closeAtTheCore(scenery, 'plain')];
  const { listener } = await checkNobodyLost(graceful);
  assert.equal(listener.gate, 'refuse');
  noteProof(t, ecn, graceful, plain);
  for (let syn = 0; syn < 6; syn++) assert.equal((await syns.next()).flags, ECN_SYN);
});

const unprivileged = prove('clients of a close that may not hold');

test('who may not hold refuses, and the report says why', options, async (t) => {
  await using scenery = await openScenery();
  const plain = await closeAtTheCore(scenery, 'plain', {}, {}, [], NOBODY);
  const core = await closeAtTheCore(scenery, 'graceful', {}, { newConnections: 'hold' }, [], NOBODY);
  const { listener } = await checkNobodyLost(core);
  assert.equal(listener.gate, 'refuse');
  assert.match(listener.reason ?? '', /hold needs CAP_NET_ADMIN/);
  noteProof(t, unprivileged, core, plain);
});

interface Held {
  readonly scene: Scene;
  readonly newcomer: LabConnection;
  /** The flags of its SYN. */
  readonly flags: number;
  /** Lets its second SYN, a second after the first, arrive. */
  readonly tryAgain: () => Promise<void>;
}

/** A whole close by `hold`: a client half-open and one queued are served, and a new one asks in vain until it is over. */
async function closeWithHold(t: TestContext, scenery: Scenery): Promise<Held> {
  const { wire } = scenery.lab;
  const scene = await openScene(scenery, 'graceful');
  const shut = { how: 'graceful', options: { newConnections: 'hold' } } as const;
  const { waiting, queued } = await scene.server.shutAfter(shut, async () => ({
    waiting: await halfOpen(scene),
    queued: await queuedWithRequest(scene),
  }));
  const clientPort = nextLocalPort();
  const again = await wire.rule({
    direction: 'to server',
    packet: 'SYN',
    clientPort,
    from: 2,
    count: Infinity,
    action: 'hold',
  });
  const first = await wire.rule({ direction: 'to server', packet: 'SYN', clientPort, action: 'report' });
  const answers = await wire.rule({ direction: 'to client', packet: 'any', clientPort, action: 'report' });
  const newcomer = connect(scene, { localPort: clientPort, send: 'request' });
  const { flags } = await first.next();
  await again.next();
  assert.equal(answers.acted, 0);

  await waiting.goOn();
  assert.deepEqual(
    { waiting: await waiting.connection.closed, queued: await queued.connection.closed },
    { waiting: SERVED, queued: SERVED },
  );
  const report = await scene.server.next('report');
  const { closedAfter: _, ...listener } = report.listeners[0]!;
  const address = `0.0.0.0:${scene.port}`;
  assert.deepEqual(listener, { address, gate: 'hold', queued: 1, halfOpen: 1, abandoned: 0, left: 0, cookies: 0 });
  assert.equal(report.outcome, 'complete');
  held.held(t, { queued: listener.queued, halfOpen: listener.halfOpen });
  return { scene, newcomer, flags, tryAgain: () => again.remove() };
}

async function askForEcn(lab: Lab): Promise<void> {
  await lab.client.sysctl('net.ipv4.tcp_ecn', '1');
}
