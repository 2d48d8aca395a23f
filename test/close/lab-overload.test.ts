import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CloseReport } from '../../src/index.ts';
import { prove } from '../harness/proof.ts';
import { type AppliedRule, type Lab, labMissing } from '../lab/lab.ts';
import type { LabConnection } from '../lab/lab-connection.ts';
import type { How } from './lab/close-server-messages.ts';
import { queued } from './lab/place.ts';
import { connect, LAB_TIMEOUT, openScene, openScenery, RESET, type Scene, SERVED } from './lab/scene.ts';

const options = { skip: labMissing, timeout: LAB_TIMEOUT };

// The accept queue holds one more than its backlog. SYNs are answered while it is not full, and without cookies while
// fewer than the backlog are half-open; so eight clients are queued first, and five more handshakes begin then.
const BACKLOG = 8;
const SMALL = { listen: { backlog: BACKLOG } };
const EARLY = 8;
const LATE = 5;
const FIT_IN = BACKLOG + 1;
const ALL = EARLY + LATE;

for (const abort of [0, 1]) {
  const proof = prove(`final ACKs that come to a full accept queue, with tcp_abort_on_overflow=${abort}`);
  test(
    `final ACKs that come to a full accept queue while the gate is shut find room, with tcp_abort_on_overflow=${abort}`,
    options,
    async (t) => {
      await using scenery = await openScenery();
      await scenery.lab.server.sysctl('net.ipv4.tcp_abort_on_overflow', `${abort}`);
      const close = async (how: How): Promise<Crowd & { scene: Scene }> => {
        const scene = await openScene(scenery, how, SMALL);
        const crowd = await scene.server.shutAfter({ how, standStillAfter: true }, () => answeredInTurn(scene));
        // Nobody accepts: the queue is as full as it was.
        await crowd.held.remove();
        await scenery.lab.wire.stats();
        scene.server.goOn();
        return { scene, ...crowd };
      };
      const [graceful, plain] = [await close('graceful'), await close('plain')];
      for (const connection of graceful.clients) connection.send('request');
      assert.deepEqual(
        await outcomes(graceful.clients),
        graceful.clients.map(() => SERVED),
      );
      assert.deepEqual(
        await outcomes(plain.clients),
        plain.clients.map(() => RESET),
      );
      const report = await graceful.scene.server.next('report');
      const { queued: inQueue, halfOpen } = report.listeners[0]!;
      assert.deepEqual({ inQueue, halfOpen }, { inQueue: EARLY, halfOpen: LATE });
      assertComplete(report, ALL);
      proof.held(t, { queued: inQueue, halfOpen });
      proof.lost(t, plain.clients.length);
    },
  );
}

const droppedAcks = prove('clients whose final ACKs were dropped by a full accept queue');

test(
  'clients whose final ACKs were dropped by a full accept queue before the gate shut are served',
  options,
  async (t) => {
    await using scenery = await openScenery();
    const close = async (how: How): Promise<Crowd & { scene: Scene }> => {
      const scene = await openScene(scenery, how, SMALL);
      const crowd = await scene.server.shutAfter({ how }, async () => {
        const answered = await answeredInTurn(scene);
        await answered.held.remove();
        await scenery.lab.wire.stats();
        return answered;
      });
      return { scene, ...crowd };
    };
    const [graceful, plain] = [await close('graceful'), await close('plain')];
    for (const connection of [...graceful.clients, ...plain.clients]) connection.send('request');
    assert.deepEqual(
      await outcomes(graceful.clients),
      graceful.clients.map(() => SERVED),
    );
    assert.deepEqual(
      await outcomes(plain.clients),
      plain.clients.map(() => RESET),
    );
    const report = await graceful.scene.server.next('report');
    const { queued: inQueue, halfOpen } = report.listeners[0]!;
    assert.deepEqual({ inQueue, halfOpen }, { inQueue: FIT_IN, halfOpen: ALL - FIT_IN });
    assertComplete(report, ALL);
    droppedAcks.held(t, { queued: inQueue, halfOpen });
    droppedAcks.lost(t, plain.clients.length);
  },
);

const BURST = 24;

const floods = [
  { when: 'made in a burst above the backlog', setting: '1' },
  { when: 'always made', setting: '2' },
] as const;

for (const { when, setting } of floods) {
  const proof = prove(`clients whose SYN cookies are out, with cookies ${when}`);
  test(
    `clients whose SYN cookies are out are served, with cookies ${when}; a plain close resets them`,
    options,
    async (t) => {
      await using scenery = await openScenery();
      await scenery.lab.server.sysctl('net.ipv4.tcp_syncookies', setting);
      const close = async (how: How): Promise<Crowd & { scene: Scene }> => {
        const scene = await openScene(scenery, how, { listen: { backlog: BACKLOG } });
        const crowd = await scene.server.shutAfter({ how }, () => answeredAll(scene, BURST));
        // The close has begun, and the final ACKs are still on their way.
        await crowd.held.remove();
        return { scene, ...crowd };
      };
      const graceful = await close('graceful');
      // The host is new, so these are all the cookies that it has ever sent.
      const cookies = await count(scenery.lab, 'SyncookiesSent');
      assert.ok(cookies >= BURST - FIT_IN, `${cookies} cookies were out`);
      for (const connection of graceful.clients) connection.send('request');
      assert.deepEqual(
        await outcomes(graceful.clients),
        graceful.clients.map(() => SERVED),
      );
      const report = await graceful.scene.server.next('report');
      const listener = report.listeners[0]!;
      const { gate, cookies: counted, abandoned } = listener;
      assert.deepEqual({ gate, counted, abandoned }, { gate: 'refuse', counted: cookies, abandoned: 0 });
      assertComplete(report, BURST);
      proof.held(t, { 'cookies out': cookies });

      const plain = await close('plain');
      for (const connection of plain.clients) connection.send('request');
      assert.deepEqual(
        await outcomes(plain.clients),
        plain.clients.map(() => RESET),
      );
      proof.lost(t, plain.clients.length);
    },
  );
}

const lateCookies = prove('clients whose SYN cookies came back to a full accept queue');

test(
  'clients whose SYN cookies came back to a full accept queue before the gate shut are served',
  options,
  async (t) => {
    await using scenery = await openScenery();
    const close = async (how: How): Promise<Crowd & { scene: Scene }> => {
      const scene = await openScene(scenery, how, { listen: { backlog: 2 } });
      const crowd = await scene.server.shutAfter({ how }, async () => {
        const answered = await answeredAll(scene, 8);
        await answered.held.remove();
        await scenery.lab.wire.stats();
        return answered;
      });
      return { scene, ...crowd };
    };
    const graceful = await close('graceful');
    // The kernel counts a cookie as received even if it then finds no room for it, so the report cannot tell these.
    const cookies = await count(scenery.lab, 'SyncookiesSent');
    assert.ok(cookies > 0, 'no cookie was sent');
    assert.ok((await count(scenery.lab, 'ListenOverflows')) > 0, 'the queue did not overflow');
    for (const connection of graceful.clients) connection.send('request');
    assert.deepEqual(
      await outcomes(graceful.clients),
      graceful.clients.map(() => SERVED),
    );
    const report = await graceful.scene.server.next('report');
    assertComplete(report, 8);
    lateCookies.held(t, { 'cookies sent': cookies });

    const plain = await close('plain');
    for (const connection of plain.clients) connection.send('request');
    assert.deepEqual(
      await outcomes(plain.clients),
      plain.clients.map(() => RESET),
    );
    lateCookies.lost(t, plain.clients.length);
  },
);

test(
  'clients that wait in the queue when the program itself closes the server, SYN cookies being awaited, are named as cut',
  options,
  async () => {
    await using scenery = await openScenery();
    await scenery.lab.server.sysctl('net.ipv4.tcp_syncookies', '2');
    const scene = await openScene(scenery, 'both', SMALL);
    const clients = await scene.server.shutAfter({ how: 'both' }, async () => {
      const queue: LabConnection[] = [];
      for (let client = 0; client < EARLY; client++) queue.push((await queued(scene)).connection);
      return queue;
    });
    assert.deepEqual(
      await outcomes(clients),
      clients.map(() => RESET),
    );
    const report = await scene.server.next('report');
    assert.deepEqual(
      { outcome: report.outcome, queued: report.listeners[0]?.queued },
      { outcome: 'forced', queued: EARLY },
    );
    assert.deepEqual(
      report.connections.cut.map(({ reason }) => reason),
      clients.map(() => 'never accepted'),
    );
  },
);

function assertComplete({ outcome, connections }: CloseReport, fromQueues: number): void {
  assert.deepEqual({ outcome, fromQueues: connections.fromQueues }, { outcome: 'complete', fromQueues });
}

/** A counter of the server's host, from the TcpExt lines of /proc/net/netstat: names, then numbers. */
async function count({ server }: Lab, name: 'SyncookiesSent' | 'ListenOverflows'): Promise<number> {
  const table = await server.read('/proc/net/netstat');
  const [names, numbers] = table.split('\n').filter((line) => line.startsWith('TcpExt:'));
  return Number(numbers?.split(' ')[names?.split(' ').indexOf(name) ?? -1]);
}

interface Crowd {
  readonly clients: readonly LabConnection[];
  /** Holds the final ACKs of those who are not queued. */
  readonly held: AppliedRule;
}

/** Clients that are queued, and then others that have their SYN-ACKs and whose final ACKs wait on the wire. */
async function answeredInTurn(scene: Scene): Promise<Crowd> {
  const early: LabConnection[] = [];
  for (let client = 0; client < EARLY; client++) early.push((await queued(scene)).connection);
  const late = await answeredAll(scene, LATE);
  return { clients: [...early, ...late.clients], held: late.held };
}

/** Clients that have their SYN-ACKs, and whose final ACKs wait on the wire. */
async function answeredAll(scene: Scene, count: number): Promise<Crowd> {
  const finalAcks = { direction: 'to server', packet: 'final ACK', serverPort: scene.port, count: Infinity } as const;
  const held = await scene.lab.wire.rule({ ...finalAcks, action: 'hold' });
  const clients = Array.from({ length: count }, () => connect(scene));
  for (const connection of clients) assert.equal(await connection.connected, 'connected');
  for (const _ of clients) await held.next();
  return { clients, held };
}

function outcomes(clients: readonly LabConnection[]): Promise<unknown[]> {
  return Promise.all(clients.map(({ closed }) => closed));
}
