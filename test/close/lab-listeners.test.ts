import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prove } from '../harness/proof.ts';
import { labMissing } from '../lab/lab.ts';
import type { How } from './lab/close-server-messages.ts';
import { queued } from './lab/place.ts';
import { connectRaw, type RawConnection } from './lab/raw-client-driver.ts';
import {
  arrived,
  LAB_TIMEOUT,
  openScene,
  openScenery,
  type Placed,
  RESET,
  ruleForNext,
  type Scene,
  SERVED,
} from './lab/scene.ts';
import { checkNobodyLost, closeAtTheCore, noteProof } from './lab/turn-away.ts';

const options = { skip: labMissing, timeout: LAB_TIMEOUT };
const NOBODY = { uid: 65_534, gid: 65_534 };

// netinet/in.h, netinet/tcp.h
const IPPROTO_TCP = 6;
const TCP_DEFER_ACCEPT = 9;
const TCP_FASTOPEN = 23;

const deferral = prove('a silent client of a listener with TCP_DEFER_ACCEPT');

test(
  'with TCP_DEFER_ACCEPT a silent client comes in after the gate shuts; a plain close resets it',
  options,
  async (t) => {
    await using scenery = await openScenery();
    const deferred = { socketOptions: [[IPPROTO_TCP, TCP_DEFER_ACCEPT, 30]] } as const;
    const close = async (how: How): Promise<{ scene: Scene; placed: Placed }> => {
      const scene = await openScene(scenery, how, deferred);
      const placed = await scene.server.shutAfter({ how }, () => queued(scene));
      // Accepted though it has said nothing yet.
      if (how === 'graceful') await scene.server.next('accepted');
      await placed.goOn();
      return { scene, placed };
    };
    const [graceful, plain] = await Promise.all([close('graceful'), close('plain')]);
    assert.deepEqual(await graceful.placed.connection.closed, SERVED);
    assert.deepEqual(await plain.placed.connection.closed, RESET);
    const report = await graceful.scene.server.next('report');
    // Connected for the client, its final ACK has come; only the kernel waits for its first words.
    const { gate, queued: inQueue, halfOpen } = report.listeners[0]!;
    assert.deepEqual({ gate, inQueue, halfOpen }, { gate: 'refuse', inQueue: 0, halfOpen: 1 });
    assert.equal(report.connections.fromQueues, 1);
    deferral.held(t, { halfOpen });
    deferral.lost(t, 1);
  },
);

const deferredOthers = prove('the other clients of a listener with TCP_DEFER_ACCEPT');

test('with TCP_DEFER_ACCEPT the others are served too; a plain close resets them', options, async (t) => {
  await using scenery = await openScenery();
  const deferred = { socketOptions: [[IPPROTO_TCP, TCP_DEFER_ACCEPT, 30]] } as const;
  const [graceful, plain] = [
    await closeAtTheCore(scenery, 'graceful', deferred),
    await closeAtTheCore(scenery, 'plain', deferred),
  ];
  const { listener } = await checkNobodyLost(graceful);
  assert.equal(listener.gate, 'refuse');
  noteProof(t, deferredOthers, graceful, plain);
});

const fast = prove('a queued client of TCP Fast Open');

test(
  'a queued TCP Fast Open client is served, a new one is refused at its first words; a plain close resets the first',
  options,
  async (t) => {
    await using scenery = await openScenery();
    for (const host of [scenery.lab.client, scenery.lab.server]) await host.sysctl('net.ipv4.tcp_fastopen', '3');
    const close = async (how: How): Promise<{ scene: Scene; waiting: RawConnection; newcomer: RawConnection }> => {
      const scene = await openScene(scenery, how, { socketOptions: [[IPPROTO_TCP, TCP_FASTOPEN, 16]] });
      // The first visit brings the cookie.
      assert.deepEqual(await fastOpen(scene).closed, SERVED);
      await scene.server.next('accepted');
      const waiting = await scene.server.shutAfter({ how }, async () => {
        const syn = await ruleForNext(scene, { direction: 'to server', packet: 'SYN', action: 'report' });
        const answer = await scene.lab.wire.rule({
          direction: 'to server',
          packet: 'ACK',
          clientPort: syn.localPort,
          action: 'report',
        });
        const connection = fastOpen(scene, syn.localPort);
        // It has asked with its first packet: the path is Fast Open's.
        assert.equal((await syn.rule.next()).payload, 'request'.length);
        await arrived(scene, answer);
        return connection;
      });
      return { scene, waiting, newcomer: fastOpen(scene) };
    };
    const [graceful, plain] = [await close('graceful'), await close('plain')];
    assert.deepEqual(await graceful.waiting.closed, SERVED);
    assert.deepEqual(await plain.waiting.closed, RESET);
    // connect(2) has only noted the address: the SYN travels with the first words.
    for (const { newcomer } of [graceful, plain]) {
      assert.deepEqual(
        { connected: await newcomer.connected, sent: await newcomer.sent },
        { connected: 'done', sent: 'ECONNREFUSED' },
      );
    }
    const report = await graceful.scene.server.next('report');
    const { gate, queued: inQueue } = report.listeners[0]!;
    assert.deepEqual({ gate, inQueue }, { gate: 'refuse', inQueue: 1 });
    assert.equal(report.connections.fromQueues, 1);
    fast.held(t, { queued: inQueue });
    fast.lost(t, 1);
  },
);

const mptcp = prove('clients of a Multipath TCP listener');

test(
  'a Multipath TCP listener that is said to be its own loses nobody; a plain close resets all',
  options,
  async (t) => {
    await using scenery = await openScenery();
    const [graceful, plain] = [
      await closeAtTheCore(scenery, 'graceful', { protocol: 'mptcp' }),
      await closeAtTheCore(scenery, 'plain', { protocol: 'mptcp' }),
    ];
    const { listener } = await checkNobodyLost(graceful);
    assert.equal(listener.gate, 'refuse');
    noteProof(t, mptcp, graceful, plain);
  },
);

const multipathClients = prove('clients that use Multipath TCP themselves');

test('a Multipath TCP client is no worse off than another', options, async (t) => {
  await using scenery = await openScenery();
  const close = async (
    how: How,
  ): Promise<{ scene: Scene; halfOpen: RawConnection; queued: RawConnection; newcomer: RawConnection }> => {
    const scene = await openScene(scenery, how, { protocol: 'mptcp' });
    const { held, ...clients } = await scene.server.shutAfter({ how }, async () => {
      const data = await ruleForNext(scene, { direction: 'to server', packet: 'data', action: 'report' });
      const late = await ruleForNext(scene, {
        direction: 'to server',
        packet: 'any',
        from: 2,
        count: Infinity,
        action: 'hold',
      });
      const [queuedOne, halfOpenOne] = [multipath(scene, data.localPort), multipath(scene, late.localPort)];
      await arrived(scene, data.rule);
      await late.rule.next();
      return { held: late.rule, halfOpen: halfOpenOne, queued: queuedOne };
    });
    const newcomer = multipath(scene);
    await newcomer.connected;
    await held.remove();
    return { scene, ...clients, newcomer };
  };
  const [graceful, plain] = [await close('graceful'), await close('plain')];
  for (const { closed, outcome } of [
    { closed: graceful, outcome: SERVED },
    { closed: plain, outcome: RESET },
  ]) {
    assert.deepEqual(
      {
        halfOpen: await closed.halfOpen.closed,
        queued: await closed.queued.closed,
        newcomer: await closed.newcomer.connected,
      },
      { halfOpen: outcome, queued: outcome, newcomer: 'ECONNREFUSED' },
    );
  }
  const report = await graceful.scene.server.next('report');
  const { gate, queued: inQueue, halfOpen } = report.listeners[0]!;
  assert.deepEqual({ gate, inQueue, halfOpen }, { gate: 'refuse', inQueue: 1, halfOpen: 1 });
  multipathClients.held(t, { queued: inQueue, halfOpen });
  multipathClients.lost(t, 2);
});

const device = prove('clients of a listener bound to a device');

test('a listener bound to a device refuses where the process may rebind it', options, async (t) => {
  await using scenery = await openScenery();
  const [graceful, plain] = [
    await closeAtTheCore(scenery, 'graceful', { device: 'wire0' }),
    await closeAtTheCore(scenery, 'plain', { device: 'wire0' }),
  ];
  const { listener } = await checkNobodyLost(graceful);
  const { gate, reason } = listener;
  assert.deepEqual({ gate, reason }, { gate: 'refuse', reason: undefined });
  noteProof(t, device, graceful, plain);
});

const unprivileged = prove('a queued client of a listener bound to a device, without privilege');

test(
  'a listener bound to a device has no gate without privilege: the queued are served, and the reason names the device',
  options,
  async (t) => {
    await using scenery = await openScenery();
    const close = async (how: How): Promise<{ scene: Scene; placed: Placed }> => {
      const scene = await openScene(scenery, how, { device: 'wire0' }, NOBODY);
      const placed = await scene.server.shutAfter({ how }, () => queued(scene));
      await placed.goOn();
      return { scene, placed };
    };
    const [{ scene, placed }, plain] = await Promise.all([close('graceful'), close('plain')]);
    assert.deepEqual(await placed.connection.closed, SERVED);
    assert.deepEqual(await plain.placed.connection.closed, RESET);
    const report = await scene.server.next('report');
    assert.equal(report.listeners[0]?.gate, 'none');
    assert.equal(report.listeners[0]?.queued, 1);
    assert.match(
      report.listeners[0]?.reason ?? '',
      /refuse needs CAP_NET_RAW: the listener is bound to a device already/,
    );
    assert.equal(report.outcome, 'complete');
    unprivileged.held(t, { queued: 1 });
    unprivileged.lost(t, 1);
  },
);

function fastOpen({ lab, host, port }: Scene, localPort?: number): RawConnection {
  return connectRaw(lab.client, { host, port, send: 'request', fastOpen: true, ...(localPort && { localPort }) });
}

function multipath({ lab, host, port }: Scene, localPort?: number): RawConnection {
  return connectRaw(lab.client, { host, port, send: 'request', multipath: true, ...(localPort && { localPort }) });
}
