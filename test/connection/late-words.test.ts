import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { CloseOptions } from '../../src/index.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { labMissing, openLab } from '../lab/lab.ts';
import { LabClient, nextLocalPort } from '../lab/lab-client.ts';
import { countAnswers, type Scenery } from './interleave.ts';
import { endOf } from './interleave-messages.ts';
import { InterleaveServers } from './interleave-server-driver.ts';

// A kept connection's next request that the wire loses comes again after a time-out that only the client knows: it is the
// longer the longer the client has taken the round trip to be, most of all where the answer to its SYN was lost.

/** A client whose second request is lost when the close begins. */
interface Case {
  readonly title: string;
  /** One way, in milliseconds. */
  readonly delay: number;
  readonly synAcksLost: number;
  /** How often its second request is lost. */
  readonly wordsLost: number;
  readonly options?: CloseOptions;
  readonly answers: 1 | 2;
}

// It takes a round trip for more than a second, and sends for the third time 5 round trips after the first.
const late = { delay: 10, synAcksLost: 1, wordsLost: 2 };
// Its time-out is 3 round trips at first, 1.8 s; a loss probe comes after 1.2 s.
const slow = { delay: 300, synAcksLost: 0, wordsLost: 2 };

const cases: readonly Case[] = [
  { title: 'a client that got its SYN-ACK late and loses its second request twice is served', ...late, answers: 2 },
  {
    title: 'control: where it is lost again and again the connection is ended in the end',
    ...late,
    wordsLost: Infinity,
    answers: 1,
  },
  { title: 'a client on a slow path that loses its second request twice is served', ...slow, answers: 2 },
  {
    title: 'control: with a shorter idleWait it is ended before the request comes',
    ...slow,
    options: { idleWait: 200 },
    answers: 1,
  },
  {
    title: 'a close whose deadline is near waits no longer than idleWait',
    ...late,
    wordsLost: Infinity,
    options: { idleWait: 100, lingerWait: 500, deadline: 3_000 },
    answers: 1,
  },
];

suite('a request that is lost on the way', { skip: labMissing, concurrency: false }, () => {
  const scope = new Scope();
  const proof = prove('a request that the wire loses twice while its server closes');
  let scenery: Scenery;

  before(async () => {
    const lab = scope.use(await openLab());
    const servers = scope.use(new InterleaveServers(lab.server));
    scenery = { lab, client: await LabClient.start(lab.client), servers };
  });
  after(() => scope[Symbol.asyncDispose]());

  for (const { title, delay, synAcksLost, wordsLost, options, answers } of cases) {
    test(title, { timeout: 60_000 }, async (t) => {
      const { lab, client, servers } = scenery;
      await lab.wire.shape({ delay });
      const port = await servers.listen();
      const localPort = nextLocalPort();
      const toServer = { clientPort: localPort, direction: 'to server' } as const;
      const synAck = await lab.wire.rule({
        clientPort: localPort,
        direction: 'to client',
        packet: 'SYN-ACK',
        count: Math.max(1, synAcksLost),
        action: synAcksLost > 0 ? 'drop' : 'report',
      });
      const words = await lab.wire.rule({
        ...toServer,
        packet: 'data',
        payload: 'GET /2',
        count: wordsLost,
        action: 'drop',
      });

      const connection = client.connect({ host: lab.server.ipv4, port, localPort, send: get('/1') });
      assert.ok(await connection.receives(endOf('/1')));
      connection.send(get('/2'));
      await words.next();
      await servers.beginClose(port, 'graceful', { gate: 'own', ...options });

      const { received, ended } = await connection.closed;
      const report = await servers.report(port);
      const told = JSON.stringify({ ended, report, lost: words.acted, synAcksLost: synAck.acted });
      assert.deepEqual({ answers: countAnswers(received), ended }, { answers, ended: 'EOF' }, told);
      assert.deepEqual((await servers.forget(port)).length, answers, told);
      const { outcome, connections, doubts } = report;
      // The client's end may come without its words: then the report says that they were lost.
      const isLost = doubts.some((doubt) => doubt.includes('were lost on the way'));
      assert.deepEqual(
        { outcome, atStart: connections.atStart, isLost },
        { outcome: isLost ? 'forced' : 'complete', atStart: 1, isLost: isLost && answers === 1 },
        told,
      );
      // The path was walked.
      assert.equal(synAck.acted, Math.max(1, synAcksLost), told);
      if (answers === 2) assert.equal(words.acted, wordsLost, told);
      else assert.ok(words.acted >= 1, told);
      await Promise.all([synAck.remove(), words.remove()]);
      if (answers === 2) proof.held(t, { 'lost on the way': words.acted });
      else if (title.startsWith('control')) proof.lost(t, 1);
    });
  }

  test('control: it is not answered after a plain close and exit', { timeout: 60_000 }, async (t) => {
    const { lab, client, servers } = scenery;
    await lab.wire.shape({ delay: late.delay });
    const port = await servers.listen();
    const localPort = nextLocalPort();
    const words = await lab.wire.rule({
      clientPort: localPort,
      direction: 'to server',
      packet: 'data',
      payload: 'GET /2',
      count: late.wordsLost,
      action: 'drop',
    });
    const connection = client.connect({ host: lab.server.ipv4, port, localPort, send: get('/1') });
    assert.ok(await connection.receives(endOf('/1')));
    connection.send(get('/2'));
    await words.next();
    await servers.beginClose(port, 'plain', {});
    const { received } = await connection.closed;
    assert.deepEqual(
      { answers: countAnswers(received), processed: await servers.forget(port) },
      { answers: 1, processed: ['/1'] },
    );
    await words.remove();
    proof.lost(t, 1);
  });
});

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
}
