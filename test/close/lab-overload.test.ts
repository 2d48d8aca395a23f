import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AppliedRule, labMissing } from '../lab/lab.ts';
import type { LabConnection } from '../lab/lab-connection.ts';
import type { How } from './lab/close-server-messages.ts';
import { connect, openScene, openScenery, RESET, type Scene, SERVED } from './lab/scene.ts';

const options = { skip: labMissing, timeout: 60_000 };

// With a backlog of 2 the accept queue holds three; a SYN is answered only while it is not full, so all SYNs come first.
const SMALL = { listen: { backlog: 2 } };
const IN_QUEUE = 3;
const TOO_MANY = 4;

for (const abort of [0, 1]) {
  test(
    `final ACKs that come to a full accept queue while the gate is shut find room, with tcp_abort_on_overflow=${abort}`,
    options,
    async () => {
      await using scenery = await openScenery();
      await scenery.lab.server.sysctl('net.ipv4.tcp_abort_on_overflow', `${abort}`);
      const close = async (how: How): Promise<Crowd & { scene: Scene }> => {
        const scene = await openScene(scenery, how, SMALL);
        const crowd = await scene.server.shutAfter({ how, standStillAfter: true }, async () => {
          const crowd = await answeredAll(scene, IN_QUEUE + TOO_MANY, IN_QUEUE);
          await crowd.first.remove();
          return crowd;
        });
        // Nobody accepts: the queue is as full as it was.
        await crowd.rest.remove();
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
      const { report } = await graceful.scene.server.next('report');
      assert.deepEqual([report.listeners[0]?.queued, report.listeners[0]?.halfOpen], [IN_QUEUE, TOO_MANY]);
      assert.deepEqual([report.outcome, report.connections.fromQueues], ['complete', IN_QUEUE + TOO_MANY]);
    },
  );
}

test(
  'clients whose final ACKs were dropped by a full accept queue before the gate shut are served',
  options,
  async () => {
    await using scenery = await openScenery();
    const close = async (how: How): Promise<Crowd & { scene: Scene }> => {
      const scene = await openScene(scenery, how, SMALL);
      const crowd = await scene.server.shutAfter({ how }, async () => {
        const crowd = await answeredAll(scene, IN_QUEUE + TOO_MANY, IN_QUEUE);
        await crowd.first.remove();
        await crowd.rest.remove();
        await scenery.lab.wire.stats();
        return crowd;
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
    const { report } = await graceful.scene.server.next('report');
    assert.deepEqual([report.listeners[0]?.queued, report.listeners[0]?.halfOpen], [IN_QUEUE, TOO_MANY]);
    assert.deepEqual([report.outcome, report.connections.fromQueues], ['complete', IN_QUEUE + TOO_MANY]);
  },
);

const BURST = 24;
const BACKLOG = 8;

const floods = [
  { when: 'made in a burst above the backlog', setting: '1', cookies: BURST - BACKLOG },
  { when: 'always made', setting: '2', cookies: BURST },
] as const;

for (const { when, setting, cookies } of floods) {
  test(
    `clients whose SYN cookies are out are served, with cookies ${when}; a plain close resets them`,
    options,
    async () => {
      await using scenery = await openScenery();
      await scenery.lab.server.sysctl('net.ipv4.tcp_syncookies', setting);
      const close = async (how: How): Promise<Crowd & { scene: Scene }> => {
        const scene = await openScene(scenery, how, { listen: { backlog: BACKLOG } });
        const crowd = await scene.server.shutAfter({ how }, () => answeredAll(scene, BURST, 0));
        // The close has begun, and the final ACKs are still on their way.
        await crowd.rest.remove();
        return { scene, ...crowd };
      };
      const graceful = await close('graceful');
      for (const connection of graceful.clients) connection.send('request');
      assert.deepEqual(
        await outcomes(graceful.clients),
        graceful.clients.map(() => SERVED),
      );
      const { report } = await graceful.scene.server.next('report');
      const listener = report.listeners[0]!;
      assert.deepEqual([listener.gate, listener.cookies, listener.abandoned], ['refuse', cookies, 0]);
      assert.deepEqual([report.outcome, report.connections.fromQueues], ['complete', BURST]);

      const plain = await close('plain');
      for (const connection of plain.clients) connection.send('request');
      assert.deepEqual(
        await outcomes(plain.clients),
        plain.clients.map(() => RESET),
      );
    },
  );
}

interface Crowd {
  readonly clients: readonly LabConnection[];
  /** Holds the final ACKs of the first clients, and of the rest. */
  readonly first: AppliedRule;
  readonly rest: AppliedRule;
}

/** Clients that all have their SYN-ACKs, and whose final ACKs, in two parts, wait on the wire. */
async function answeredAll(scene: Scene, count: number, first: number): Promise<Crowd> {
  const ofServer = { direction: 'to server', packet: 'final ACK', serverPort: scene.port, action: 'hold' } as const;
  const rules = {
    first: await scene.lab.wire.rule({ ...ofServer, count: first }),
    rest: await scene.lab.wire.rule({ ...ofServer, count: Infinity }),
  };
  const clients = Array.from({ length: count }, () => connect(scene));
  for (const connection of clients) assert.equal(await connection.connected, 'connected');
  for (let held = 0; held < count; held++) await (held < first ? rules.first : rules.rest).next();
  return { clients, ...rules };
}

function outcomes(clients: readonly LabConnection[]): Promise<unknown[]> {
  return Promise.all(clients.map(({ closed }) => closed));
}
