import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { ManySocketsTells } from '../fixtures/close/many-sockets-server.ts';
import { startFixture } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { type Lab, labMissing, openLab } from '../lab/lab.ts';
import { LabClient } from '../lab/lab-client.ts';

/** A table of all of these takes about 20 ms to read. */
const SOCKETS = 8_000;
const CLIENTS = 100;

suite(`a server without netlink on a host with ${SOCKETS} sockets`, { skip: labMissing }, () => {
  const scope = new Scope();
  const proof = prove('100 queued clients on a host with thousands of sockets, without netlink');
  let lab: Lab;
  let client: LabClient;

  before(async () => {
    lab = scope.use(await openLab());
    client = await LabClient.start(lab.client);
    const others = startFixture<ManySocketsTells>('close/many-sockets-server', {
      host: lab.server,
      args: [`${SOCKETS}`],
    });
    await others.next('open');
  });
  after(() => scope[Symbol.asyncDispose]());

  test('each queued client is served, and a twentieth of the time goes to counting', { timeout: 60_000 }, async (t) => {
    const { outcomes, server } = await stopWithQueue(lab, client, 'graceful');
    await using _ = server;
    const { report, looks, took } = await server.next('closed');
    assert.deepEqual(
      outcomes,
      Array.from({ length: CLIENTS }, () => 'served'),
    );
    const { queued = 0, gate } = report.listeners[0] ?? {};
    assert.deepEqual({ outcome: report.outcome, gate }, { outcome: 'complete', gate: 'refuse' });
    assert.ok(queued > CLIENTS / 2, `${queued} were queued`);
    // One count is that of the gate. The last one has a pause before it only, and the one that confirms it comes at once; so may one
    // before that, when the queue was empty for a moment.
    const repeated = (took / looks) * Math.max(0, looks - 4);
    assert.ok(looks >= 3 && repeated <= report.duration / 20, JSON.stringify({ looks, took, report }));
    proof.held(t, { queued });
  });

  test('control: a plain close resets them', { timeout: 60_000 }, async (t) => {
    const { outcomes, server } = await stopWithQueue(lab, client, 'plain');
    await using _ = server;
    proof.lost(t, outcomes.filter((outcome) => outcome === 'ECONNRESET').length);
  });
});

/** Stops a server that is held still until all clients are connected. */
async function stopWithQueue(lab: Lab, client: LabClient, how: 'graceful' | 'plain') {
  const server = startFixture<ManySocketsTells>('close/many-sockets-server', { host: lab.server });
  const port = await server.next('port');
  await server.hold();
  const send = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
  const connections = Array.from({ length: CLIENTS }, () => client.connect({ host: lab.server.ipv4, port, send }));
  for (const { connected } of connections) assert.equal(await connected, 'connected');
  server.send({ how });
  server.goOn();
  const ends = await Promise.all(connections.map(({ closed }) => closed));
  const outcomes = ends.map(({ received, ended }) => (/^HTTP\/1\.1 200 .*served/s.test(received) ? 'served' : ended));
  return { outcomes, server };
}
