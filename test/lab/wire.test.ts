import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Host, labMissing, openLab } from './lab.ts';
import { LabClient, nextLocalPort } from './lab-client.ts';
import { Loss } from './loss.ts';
import { startLabServer } from './start-lab-server.ts';

const PORT = 8080;
const SYN_RECV = '03';
const ESTABLISHED = '01';
const options = { skip: labMissing };

/** The state of the server's end of a connection, as /proc/net numbers it; undefined when there is none. */
async function stateAtServer(host: Host, clientPort: number | undefined): Promise<string | undefined> {
  const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map((path) => host.read(path)));
  const rows = tables.flatMap((table) => table.trim().split('\n').slice(1)).map((row) => row.trim().split(/\s+/));
  const port = `:${clientPort?.toString(16).toUpperCase().padStart(4, '0')}`;
  return rows.find(([, , remote]) => remote?.endsWith(port))?.[3];
}

test('a connection over the wire takes its delay twice', options, async () => {
  await using lab = await openLab({ delay: 40 });
  await startLabServer(lab.server, PORT);
  const client = await LabClient.start(lab.client);
  await client.connect({ host: lab.server.ipv4, port: PORT + 1 }).connected;
  for (const host of [lab.server.ipv4, lab.server.ipv6]) {
    const started = performance.now();
    assert.equal(await client.connect({ host, port: PORT }).connected, 'connected');
    assert.ok(performance.now() - started >= 80);
  }
  await lab.wire.shape({ delay: 100 });
  const started = performance.now();
  assert.equal(await client.connect({ host: lab.server.ipv4, port: PORT }).connected, 'connected');
  assert.ok(performance.now() - started >= 200);
});

test(
  'a lost final ACK leaves the server half-open while the client is connected, and data completes it',
  options,
  async () => {
    await using lab = await openLab();
    await startLabServer(lab.server, PORT);
    // All of them: the server repeats its SYN-ACK after a second, which is answered.
    const lost = await lab.wire.rule({
      direction: 'to server',
      packet: 'final ACK',
      action: 'drop',
      count: Infinity,
    });
    const client = await LabClient.start(lab.client);
    const connection = client.connect({ host: lab.server.ipv4, port: PORT });
    assert.equal(await connection.connected, 'connected');
    const seen = await lost.next();
    const { packet, clientPort, payload } = seen;
    assert.deepEqual(
      { packet, clientPort, payload },
      { packet: 'final ACK', clientPort: connection.localPort, payload: 0 },
    );
    assert.equal(await stateAtServer(lab.server, connection.localPort), SYN_RECV);
    connection.send('hello');
    assert.equal(await connection.receives('hello'), true);
    assert.equal(await stateAtServer(lab.server, connection.localPort), ESTABLISHED);
    assert.ok(lost.acted >= 1);
  },
);

test('a lost final ACK comes again when the server repeats its SYN-ACK', options, async () => {
  await using lab = await openLab();
  await startLabServer(lab.server, PORT);
  const lost = await lab.wire.rule({ direction: 'to server', packet: 'final ACK', action: 'drop' });
  const repeated = await lab.wire.rule({ direction: 'to client', packet: 'SYN-ACK', from: 2, action: 'report' });
  const again = await lab.wire.rule({ direction: 'to server', packet: 'final ACK', action: 'report' });
  const client = await LabClient.start(lab.client);
  const connection = client.connect({ host: lab.server.ipv4, port: PORT });
  await lost.next();
  await repeated.next();
  await again.next();
  // The report comes before the packet arrives, the stats after.
  await lab.wire.stats();
  assert.equal(await stateAtServer(lab.server, connection.localPort), ESTABLISHED);
});

test('a held final ACK arrives when it is released, and has by then', options, async () => {
  await using lab = await openLab({ delay: 5 });
  await startLabServer(lab.server, PORT);
  const client = await LabClient.start(lab.client);
  for (const host of [lab.server.ipv4, lab.server.ipv6]) {
    const clientPort = nextLocalPort();
    const rule = await lab.wire.rule({
      direction: 'to server',
      packet: 'final ACK',
      clientPort,
      action: 'hold',
      count: Infinity,
    });
    const connection = client.connect({ host, port: PORT, localPort: clientPort });
    await rule.next();
    assert.equal(await connection.connected, 'connected');
    assert.equal(await stateAtServer(lab.server, clientPort), SYN_RECV);
    // More than one where the server has repeated its SYN-ACK meanwhile.
    assert.ok((await lab.wire.stats()).toServer.held >= 1);
    await rule.release();
    assert.equal(await stateAtServer(lab.server, clientPort), ESTABLISHED);
    assert.equal((await lab.wire.stats()).toServer.held, 0);
  }
});

test('held packets that are dropped are gone, and the sender sends them again', options, async () => {
  await using lab = await openLab();
  await startLabServer(lab.server, PORT);
  const client = await LabClient.start(lab.client);
  const rule = await lab.wire.rule({
    direction: 'to server',
    packet: 'data',
    payload: 'lost',
    action: 'hold',
    count: Infinity,
  });
  const connection = client.connect({ host: lab.server.ipv4, port: PORT, send: 'once lost' });
  await rule.next();
  assert.equal(connection.received, '');
  await rule.drop();
  assert.ok((await lab.wire.stats()).toServer.dropped >= 1);
  assert.equal(connection.received, '');
  // What is sent again passes.
  await rule.remove();
  assert.equal(await connection.receives('once lost'), true);
});

test('reports are kept until they are asked for, and none is made up', options, async () => {
  await using lab = await openLab();
  await startLabServer(lab.server, PORT);
  const client = await LabClient.start(lab.client);
  const rule = await lab.wire.rule({ direction: 'to server', packet: 'any', action: 'report', count: Infinity });
  const connection = client.connect({ host: lab.server.ipv4, port: PORT, send: 'ping' });
  await connection.receives('ping');
  connection.end();
  assert.deepEqual(await connection.closed, { received: 'ping', ended: 'EOF' });
  const kinds = [];
  while (kinds.at(-1) !== 'FIN') kinds.push((await rule.next()).packet);
  assert.deepEqual(
    // A slow machine has some sent twice.
    [...new Set(kinds.filter((kind) => kind !== 'ACK'))],
    ['SYN', 'final ACK', 'data', 'FIN'],
  );
  await rule.remove();
  await assert.rejects(async () => {
    for (;;) await rule.next();
  }, /the rule was removed/);
});

test('who waits for a packet when the lab closes is told', options, async () => {
  await using lab = await openLab();
  const rule = await lab.wire.rule({ direction: 'to server', packet: 'SYN', action: 'report' });
  const waiting = assert.rejects(rule.next(), /the lab was closed/);
  await lab.close();
  await waiting;
  await assert.rejects(rule.next(), /the lab was closed/);
  await assert.rejects(lab.wire.stats(), /the lab was closed/);
});

test('the seed alone decides which SYNs are lost', options, async () => {
  const [loss, seed] = [0.3, 5];
  for (let run = 0; run < 2; run++) {
    await using lab = await openLab({ loss, seed });
    const client = await LabClient.start(lab.client);
    // Nobody listens: each SYN that arrives is answered by a reset, which is reported and so never lost.
    const resets = await lab.wire.rule({ direction: 'to client', packet: 'RST', action: 'report', count: Infinity });
    const ports = Array.from({ length: 40 }, () => client.connect({ host: lab.server.ipv4, port: PORT }).localPort);
    const fates = new Loss(loss, seed);
    const arriving = ports.filter(() => !fates.takesNext());
    assert.ok(arriving.length < ports.length);
    const arrived = [];
    while (arrived.length < arriving.length) arrived.push((await resets.next()).clientPort);
    assert.deepEqual(arrived, arriving);
  }
});

test('what a rule reports is not lost at random', options, async () => {
  await using lab = await openLab({ loss: 1 });
  for (const direction of ['to server', 'to client'] as const) {
    await lab.wire.rule({ direction, packet: 'any', action: 'report', count: Infinity });
  }
  await startLabServer(lab.server, PORT);
  const client = await LabClient.start(lab.client);
  assert.equal(await client.connect({ host: lab.server.ipv6, port: PORT }).connected, 'connected');
});

test('300 clients at 25 ms lose nothing on the wire', options, async () => {
  await using lab = await openLab({ delay: 25 });
  await startLabServer(lab.server, PORT);
  const client = await LabClient.start(lab.client);
  const text = 'x'.repeat(20_000);
  const connections = Array.from({ length: 300 }, () =>
    client.connect({ host: lab.server.ipv4, port: PORT, send: text }),
  );
  for (const connection of connections) {
    assert.equal(await connection.receives(text), true);
    connection.end();
  }
  for (const connection of connections) assert.deepEqual(await connection.closed, { received: text, ended: 'EOF' });
  const stats = await lab.wire.stats();
  assert.equal(stats.dropped, 0);
  // Each way 14 segments of data, and the packets that open and close.
  assert.ok(stats.carried > 300 * 2 * 16, `${stats.carried}`);
  for (const host of [lab.client, lab.server]) assert.equal(await droppedByInterface(host), 0);
});

/** What the host wanted to send, and its interface had no room for. */
async function droppedByInterface(host: Host): Promise<number> {
  const row = (await host.read('/proc/net/dev')).split('\n').find((line) => line.includes('wire0:'));
  return Number(row?.trim().split(/\s+/)[12]);
}
