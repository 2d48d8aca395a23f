import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { prove } from '../harness/proof.ts';
import { type Lab, labMissing, openLab } from '../lab/lab.ts';
import { LabClient, nextLocalPort } from '../lab/lab-client.ts';
import type { LabConnection } from '../lab/lab-connection.ts';
import { countAnswers } from './interleave.ts';
import { endOf } from './interleave-messages.ts';
import { InterleaveServers } from './interleave-server-driver.ts';

// A host remembers the round trip to each other host (tcp_metrics, tcp(7)), for an hour. Where the answer to a SYN was lost, it
// remembers more than a second, and each new connection begins with a time-out of three times that: its first words, lost twice,
// come for the third time after more than 3 s, and lost three times after more than 9 s.

/** One way, in milliseconds: the server's own time-out is the least there is. */
const DELAY = 5;

const REMEMBERED = 'net.ipv4.tcp_no_metrics_save';

/** How the client's host came to remember a long round trip. */
type Memory =
  /** So many connections got their SYN-ACK at the second try: the server's host has counted that. */
  | { readonly synAcksLost: number }
  /** A path that was slow for a while: the server's host has forgotten it, and has seen no loss. */
  | 'slow path';

/** A client that connects before the close, and whose next words are lost. */
interface Case {
  readonly title: string;
  readonly memory: Memory;
  /** How often its words are lost. */
  readonly wordsLost: number;
  readonly served: boolean;
}

const silent: readonly Case[] = [
  {
    title: 'first words that are lost twice are answered',
    memory: { synAcksLost: 1 },
    wordsLost: 2,
    served: true,
  },
  {
    title: 'control: where the server has seen no loss, the connection is ended before the words come',
    memory: 'slow path',
    wordsLost: 2,
    served: false,
  },
  {
    title: 'first words that are lost three times are answered, where the server has seen many losses',
    memory: { synAcksLost: 9 },
    wordsLost: 3,
    served: true,
  },
  {
    title: 'control: where it has seen few, the connection is ended before they come',
    memory: { synAcksLost: 1 },
    wordsLost: 3,
    served: false,
  },
];

suite('a client whose host remembers the losses of earlier connections', { skip: labMissing, concurrency: 2 }, () => {
  const proof = prove('the first words of a client that remembers losses, lost while its server closes');

  for (const { title, memory, wordsLost, served } of silent) {
    test(title, { timeout: 60_000 }, async (t) => {
      await using lab = await openLab({ delay: DELAY });
      await using servers = new InterleaveServers(lab.server);
      const client = await LabClient.start(lab.client);
      await remember(lab, client, servers, memory);

      const port = await servers.listen();
      const { connection, words } = await connectSilently(lab, client, port, wordsLost);
      await servers.beginClose(port, 'graceful', { gate: 'own' });
      connection.send(get('/1'));
      const ended = await connection.closed;
      const report = await servers.report(port);
      const told = JSON.stringify({ ended, report, lost: words.acted });
      assert.equal(words.acted, wordsLost, told);
      const { outcome, connections, doubts } = report;
      assert.equal(countAnswers(ended.received), served ? 1 : 0, told);
      // The report says what was lost: the words came late, or the client's end came and they did not.
      const isTold = connections.lateRequests === 1 || doubts.some((doubt) => doubt.includes('were lost on the way'));
      assert.deepEqual(
        { isTold, outcome },
        { isTold: !served, outcome: doubts.length === 0 ? 'complete' : 'forced' },
        told,
      );
      await words.remove();
      if (served) proof.held(t, { 'lost on the way': wordsLost });
      else proof.lost(t, 1);
    });
  }

  test('control: first words that are lost twice are lost with a plain close and exit', {
    timeout: 60_000,
  }, async (t) => {
    await using lab = await openLab({ delay: DELAY });
    await using servers = new InterleaveServers(lab.server);
    const client = await LabClient.start(lab.client);
    await remember(lab, client, servers, { synAcksLost: 1 });
    const port = await servers.listen();
    const { connection } = await connectSilently(lab, client, port, 2);
    await servers.beginClose(port, 'plain', {});
    connection.send(get('/1'));
    assert.deepEqual(await servers.forget(port), []);
    assert.equal((await connection.closed).received, '');
    proof.lost(t, 1);
  });
});

suite('a kept connection on a path that loses segments', { skip: labMissing, concurrency: 2 }, () => {
  const proof = prove('a request on a kept connection, lost four times while its server closes');

  for (const how of ['graceful', 'plain'] as const) {
    const title =
      how === 'graceful'
        ? 'a request that is lost four times is answered, where the answer before it was lost, too'
        : 'control: it is lost with a plain close and exit';
    test(title, { timeout: 60_000 }, async (t) => {
      await using lab = await openLab({ delay: DELAY });
      await using servers = new InterleaveServers(lab.server);
      const client = await LabClient.start(lab.client);
      const port = await servers.listen();
      const localPort = nextLocalPort();
      const answer = await lab.wire.rule({
        clientPort: localPort,
        direction: 'to client',
        packet: 'any',
        // The SYN-ACK comes; then the answer is lost, and the first repetitions of it.
        from: 2,
        count: 5,
        action: 'drop',
      });
      const connection = client.connect({ host: lab.server.ipv4, port, localPort, send: get('/1') });
      assert.ok(await connection.receives(endOf('/1')));
      await answer.remove();
      const words = await lab.wire.rule({
        clientPort: localPort,
        direction: 'to server',
        packet: 'data',
        payload: 'GET /2',
        count: 4,
        action: 'drop',
      });
      connection.send(get('/2'));
      await words.next();
      await servers.beginClose(port, how, how === 'plain' ? {} : { gate: 'own' });
      const { received } = await connection.closed;
      const answers = how === 'plain' ? 1 : 2;
      assert.equal(countAnswers(received), answers);
      if (how === 'plain') return proof.lost(t, 1);
      const { outcome, connections } = await servers.report(port);
      assert.deepEqual({ outcome, late: connections.lateRequests }, { outcome: 'complete', late: 0 });
      assert.equal(words.acted, 4);
      proof.held(t, { 'lost on the way': words.acted });
    });
  }
});

suite('a client whose words are lost again and again', { skip: labMissing, concurrency: 2 }, () => {
  const proof = prove('the report of a client whose words are lost again and again, on a host that has seen losses');

  async function close(memory: Memory | undefined) {
    await using lab = await openLab({ delay: DELAY });
    await using servers = new InterleaveServers(lab.server);
    const client = await LabClient.start(lab.client);
    if (memory !== undefined) await remember(lab, client, servers, memory);
    const port = await servers.listen();
    const { connection, words } = await connectSilently(lab, client, port, Infinity);
    await servers.beginClose(port, 'graceful', { gate: 'own' });
    connection.send(get('/1'));
    const { received } = await connection.closed;
    const report = await servers.report(port);
    // Its words and their repetitions were lost. Its end waits behind them, for its kernel has room for one segment then.
    assert.ok(words.acted > 2, JSON.stringify({ words: words.acted, report }));
    assert.deepEqual({ received, processed: await servers.forget(port) }, { received: '', processed: [] });
    return report;
  }

  test('is a doubt where this host has seen losses', { timeout: 60_000 }, async (t) => {
    const { outcome, doubts } = await close({ synAcksLost: 1 });
    assert.equal(outcome, 'forced');
    assert.match(doubts.join(), /it was ended for being quiet, and its end has not come: its words may be lost$/);
    proof.held(t, { lost: 1 });
  });

  test('control: is in no doubt where this host has seen none', { timeout: 60_000 }, async (t) => {
    const { outcome, doubts } = await close(undefined);
    assert.deepEqual({ outcome, doubts }, { outcome: 'complete', doubts: [] });
    proof.lost(t, 1);
  });
});

suite('a connection on which a browser says nothing', { skip: labMissing }, () => {
  for (const { path, synAcksLost, atMost } of [
    { path: 'that loses nothing is ended as soon as it has been quiet for idleWait', synAcksLost: 0, atMost: 6_500 },
    { path: 'that loses few segments is ended when two tries more are over', synAcksLost: 1, atMost: 13_000 },
  ]) {
    test(`on a path ${path}`, { timeout: 60_000 }, async () => {
      await using lab = await openLab({ delay: DELAY });
      await using servers = new InterleaveServers(lab.server);
      const client = await LabClient.start(lab.client);
      if (synAcksLost > 0) await remember(lab, client, servers, { synAcksLost });
      const port = await servers.listen();
      const connection = client.connect({ host: lab.server.ipv4, port });
      assert.equal(await connection.connected, 'connected');
      await servers.beginClose(port, 'graceful', { gate: 'own' });
      assert.equal((await connection.closed).ended, 'EOF');
      const { outcome, duration } = await servers.report(port);
      assert.equal(outcome, 'complete');
      assert.ok(duration < atMost, `it took ${duration} ms`);
    });
  }
});

/** Makes the client's host remember a round trip of a second to the server's. */
async function remember(lab: Lab, client: LabClient, servers: InterleaveServers, memory: Memory): Promise<void> {
  const port = await servers.listen();
  if (memory === 'slow path') {
    await lab.server.sysctl(REMEMBERED, '1');
    await lab.wire.shape({ delay: 450 });
    await ask(client.connect({ host: lab.server.ipv4, port, send: get('/1', 'close') }));
    await lab.wire.shape({ delay: DELAY });
  } else {
    await Promise.all(
      Array.from({ length: memory.synAcksLost }, async () => {
        const localPort = nextLocalPort();
        const synAck = await lab.wire.rule({
          clientPort: localPort,
          direction: 'to client',
          packet: 'SYN-ACK',
          action: 'drop',
        });
        await ask(client.connect({ host: lab.server.ipv4, port, localPort, send: get('/1', 'close') }));
        assert.equal(synAck.acted, 1);
        await synAck.remove();
      }),
    );
  }
  await servers.forget(port);
}

async function ask(connection: LabConnection): Promise<void> {
  const { received } = await connection.closed;
  assert.equal(countAnswers(received), 1);
}

/** A client that is connected, and has said nothing. Its first words will be lost. */
async function connectSilently(
  lab: Lab,
  client: LabClient,
  port: number,
  wordsLost: number,
): Promise<{ readonly connection: LabConnection; readonly words: Awaited<ReturnType<Lab['wire']['rule']>> }> {
  const localPort = nextLocalPort();
  const words = await lab.wire.rule({
    clientPort: localPort,
    direction: 'to server',
    packet: 'data',
    count: wordsLost,
    action: 'drop',
  });
  const connection = client.connect({ host: lab.server.ipv4, port, localPort });
  assert.equal(await connection.connected, 'connected');
  return { connection, words };
}

function get(path: string, connection = 'keep-alive'): string {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: ${connection}\r\n\r\n`;
}
