import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import grpc from '@grpc/grpc-js';
import { createClient } from 'redis';
import { WebSocket } from 'ws';
import { ExampleProcess } from './example-process.ts';
import { LineClient } from './line-client.ts';
import { RedisLoad } from './redis-load.ts';
import { SmtpClient, type SmtpOutcome } from './smtp-client.ts';

describe('examples/echo, closed with no options', { timeout: 180_000 }, () => {
  it('echoes what is said during the close, and ends who has been quiet; what comes after that is still read', async (t) => {
    const server = new ExampleProcess(t, 'echo');
    const port = await server.port;
    const [talker, quiet, late] = [
      new LineClient(port),
      new LineClient(port),
      new LineClient(port, { staysOpen: true }),
    ];
    for (const client of [talker, quiet, late]) assert.equal(await client.ask('hello'), 'hello');
    const closing = server.close();
    // Longer than the 2 s after which a quiet one is ended.
    let said = 0;
    const quietEnded = quiet.ended.then(() => said);
    while (said < 60) {
      assert.equal(await talker.ask(`line ${said}`), `line ${said}`);
      said += 1;
      await sleep(50);
    }
    assert.equal(await late.next(), undefined);
    late.socket.end('too late\n');
    assert.equal(await talker.next(), undefined);
    const { report, received, echoed } = await closing;
    assert((await quietEnded) > 5 && (await quietEnded) < 60, 'the quiet one went while the other talked');
    assert.deepEqual([report.outcome, report.connections.ended, report.connections.cut], ['complete', 3, []]);
    assert.deepEqual([received, echoed], [64, 63]);
  });

  it('survives a client that resets', async (t) => {
    const server = new ExampleProcess(t, 'echo');
    const port = await server.port;
    const [rude, other] = [new LineClient(port), new LineClient(port)];
    for (const client of [rude, other]) assert.equal(await client.ask('hello'), 'hello');
    rude.socket.resetAndDestroy();
    assert.equal(await other.ask('still there?'), 'still there?');
    assert.equal((await server.close()).report.outcome, 'complete');
  });

  it('control: killed, it answers no more, and resets who is talking', async (t) => {
    const server = new ExampleProcess(t, 'echo');
    const talker = new LineClient(await server.port);
    assert.equal(await talker.ask('hello'), 'hello');
    server.kill();
    await server.ended;
    assert.equal(await talker.ask('anybody?'), undefined);
  });
});

describe('examples/smtp', { timeout: 180_000 }, () => {
  const CLIENTS = 50;

  const start = async (t: TestContext): Promise<{ server: ExampleProcess; clients: readonly SmtpClient[] }> => {
    const server = new ExampleProcess(t, 'smtp');
    const port = await server.port;
    const clients = Array.from({ length: CLIENTS }, () => new SmtpClient(port));
    while (clients.some(({ accepted }) => accepted < 2)) await sleep(10);
    return { server, clients };
  };
  const total = (outcomes: readonly SmtpOutcome[], what: 'sent' | 'accepted'): number =>
    outcomes.reduce((sum, outcome) => sum + outcome[what], 0);

  it(`hears ${CLIENTS} clients out, tells them 421 and awaits their QUIT`, async (t) => {
    const { server, clients } = await start(t);
    const inMessage = clients.filter((client) => client.inMessage).length;
    assert(inMessage >= 10, `${inMessage} were in a message`);
    const { report, accepted } = await server.close();
    const outcomes = await Promise.all(clients.map(({ outcome }) => outcome));
    for (const { cutIn, told, goodbye } of outcomes) assert.deepEqual([cutIn, told, goodbye], [undefined, true, '221']);
    assert.deepEqual([total(outcomes, 'sent'), total(outcomes, 'accepted')], [accepted, accepted]);
    const { outcome, connections } = report;
    assert.deepEqual([outcome, connections.ended, connections.cut], ['complete', CLIENTS, []]);
    assert.deepEqual(connections.farewells, { said: CLIENTS, answered: CLIENTS, unanswered: 0 });
    t.diagnostic(`${inMessage} of ${CLIENTS} in a message, ${String(accepted)} messages`);
  });

  it('hears out a client that pauses in the middle of a message for longer than a quiet one may', async (t) => {
    const server = new ExampleProcess(t, 'smtp');
    const port = await server.port;
    const [slow, quiet] = [new LineClient(port), new LineClient(port)];
    for (const client of [slow, quiet]) assert.match((await client.next()) ?? '', /^220/);
    for (const command of ['MAIL FROM:<a@client.test>', 'RCPT TO:<b@example.test>', 'DATA', 'Subject: slow']) {
      slow.socket.write(`${command}\r\n`);
      if (!command.startsWith('Subject')) assert.match((await slow.next()) ?? '', /^(250|354)/);
    }
    const closing = server.close();
    // Told at once, it says nothing, and is ended once it has been quiet for 2 s.
    assert.match((await quiet.next()) ?? '', /^421/);
    assert.equal(await quiet.ended, 'the end');
    slow.socket.write('\r\nsorry\r\n.\r\n');
    assert.match((await slow.next()) ?? '', /^250/);
    assert.match((await slow.next()) ?? '', /^421/);
    slow.socket.write('QUIT\r\n');
    assert.match((await slow.next()) ?? '', /^221/);
    assert.equal(await slow.ended, 'the end');
    const { report, accepted } = await closing;
    assert.deepEqual(
      [report.outcome, report.connections.farewells, accepted],
      ['complete', { said: 2, answered: 1, unanswered: 1 }, 1],
    );
  });

  it('control: killed, it cuts messages and tells nobody', async (t) => {
    const { server, clients } = await start(t);
    server.kill();
    const outcomes = await Promise.all(clients.map(({ outcome }) => outcome));
    const cut = outcomes.filter(({ cutIn }) => cutIn !== undefined).length;
    assert(cut >= CLIENTS / 2, `${cut} were cut`);
    assert.equal(outcomes.filter(({ told }) => told).length, 0);
    t.diagnostic(`${cut} of ${CLIENTS} were cut in a message`);
  });
});

describe('examples/redis, under the real client', { timeout: 180_000 }, () => {
  const CLIENTS = 20;
  const CALLERS = 10;

  const start = async (t: TestContext): Promise<{ server: ExampleProcess; load: RedisLoad }> => {
    const successor = new ExampleProcess(t, 'redis');
    const server = new ExampleProcess(t, 'redis', { SUCCESSOR: `127.0.0.1:${await successor.port}` });
    const load = new RedisLoad();
    t.after(() => load.abandon());
    await load.start(await server.port, CLIENTS, CALLERS);
    await load.answeredMore(5_000);
    return { server, load };
  };

  it('under load sends its clients to the successor, and no command fails', async (t) => {
    const { server, load } = await start(t);
    const { report } = await server.close();
    await load.answeredMore(5_000);
    const { answered, failed, moved } = await load.stop();
    assert.deepEqual([failed, moved], [[], CLIENTS * CALLERS]);
    const { outcome, connections } = report;
    assert.deepEqual([outcome, connections.ended, connections.cut], ['complete', CLIENTS, []]);
    assert.deepEqual(connections.farewells, { said: CLIENTS, answered: CLIENTS, unanswered: 0 });
    t.diagnostic(`${answered} commands, 0 failed, in ${Math.round(report.duration)} ms`);
  });

  it('control: killed under load, it leaves commands without an answer', async (t) => {
    const { server, load } = await start(t);
    server.kill();
    await load.failing(CLIENTS);
    t.diagnostic(`${load.failed.length} commands failed: ${load.failed[0]}`);
  });

  it('serves a client of the old protocol until it is quiet; it finds the successor at the same port', async (t) => {
    const server = new ExampleProcess(t, 'redis');
    const port = await server.port;
    const client = createClient({ RESP: 2, socket: { host: '127.0.0.1', port, reconnectStrategy: 50 } });
    t.after(() => client.destroy());
    client.on('error', () => {});
    await client.connect();
    assert.equal(await client.incr('n'), 1);
    // (`once` would take the client's error, that its connection has ended, for ours.)
    const reconnecting = new Promise<void>((resolve) => client.once('reconnecting', resolve));
    const ready = reconnecting.then(() => new Promise<void>((resolve) => client.once('ready', resolve)));
    const closing = server.close();
    for (let number = 2; number <= 30; number += 1) {
      assert.equal(await client.incr('n'), number);
      await sleep(50);
    }
    const { report } = await closing;
    assert.deepEqual([report.outcome, report.connections.ended], ['complete', 1]);
    await reconnecting;
    const successor = new ExampleProcess(t, 'redis', { PORT: String(port) });
    await successor.port;
    await ready;
    assert.equal(await client.incr('n'), 1);
  });

  it('gives who waits in BLPOP an answer, which is that there is nothing', async (t) => {
    const server = new ExampleProcess(t, 'redis');
    const { waiting } = await waitInBlpop(t, await server.port);
    const { report } = await server.close();
    assert.equal(await waiting, null);
    assert.deepEqual([report.outcome, report.connections.ended, report.connections.cut], ['complete', 2, []]);
  });

  it('control: killed, it leaves who waits in BLPOP without an answer', async (t) => {
    const server = new ExampleProcess(t, 'redis');
    const { waiting } = await waitInBlpop(t, await server.port);
    server.kill();
    await assert.rejects(waiting);
  });

  /** One whose first BLPOP has been answered, so that the server has heard the second, too. */
  async function waitInBlpop(t: TestContext, port: number): Promise<{ waiting: Promise<unknown> }> {
    const options = { RESP: 2, socket: { host: '127.0.0.1', port, reconnectStrategy: false } } as const;
    const [waiter, other] = [createClient(options), createClient(options)];
    t.after(() => {
      for (const client of [waiter, other]) if (client.isOpen) client.destroy();
    });
    for (const client of [waiter, other]) await client.on('error', () => {}).connect();
    const first = waiter.blPop('list', 0);
    const waiting = waiter.blPop('list', 0);
    waiting.catch(() => {});
    await other.rPush('list', 'something');
    assert.deepEqual(await first, { key: 'list', element: 'something' });
    return { waiting };
  }
});

describe('examples/websocket', { timeout: 180_000 }, () => {
  it('tells everyone in the room 1012 after the last words', async (t) => {
    const server = new ExampleProcess(t, 'websocket');
    const port = await server.port;
    const room = Array.from({ length: 30 }, () => new WebSocket(`ws://127.0.0.1:${port}`));
    await Promise.all(room.map((client) => once(client, 'open')));
    const heard = room.map((client) => once(client, 'message').then(([words]) => String(words)));
    const closed = room.map((client) => once(client, 'close').then(([code, reason]) => [code, String(reason)]));
    room[0]?.send('last orders');
    assert.deepEqual([...new Set(await Promise.all(heard))], ['last orders']);
    const { report } = await server.close();
    for (const told of await Promise.all(closed)) assert.deepEqual(told, [1012, 'back in a moment']);
    assert.deepEqual(
      [report.outcome, report.connections.farewells],
      ['complete', { said: 30, answered: 30, unanswered: 0 }],
    );
  });

  it('control: killed, it tells nobody', async (t) => {
    const server = new ExampleProcess(t, 'websocket');
    const client = new WebSocket(`ws://127.0.0.1:${await server.port}`);
    await once(client, 'open');
    const closed = once(client, 'close');
    server.kill();
    assert.equal((await closed)[0], 1006);
  });
});

describe('examples/grpc', { timeout: 180_000 }, () => {
  it('ends a stream that is under way with OK', async (t) => {
    const server = new ExampleProcess(t, 'grpc');
    const hellos = helloOften(t, await server.port);
    await hellos.first;
    const closing = server.close();
    assert.deepEqual(await hellos.all, { messages: 10, code: grpc.status.OK });
    const { report } = await closing;
    assert.deepEqual([report.outcome, report.connections.ended], ['complete', 1]);
  });

  it('control: killed, it cuts the stream', async (t) => {
    const server = new ExampleProcess(t, 'grpc');
    const hellos = helloOften(t, await server.port);
    await hellos.first;
    server.kill();
    assert.equal((await hellos.all).code, grpc.status.UNAVAILABLE);
  });

  interface Hello {
    readonly message: string;
  }

  function helloOften(
    t: TestContext,
    port: number,
  ): { first: Promise<unknown>; all: Promise<{ messages: number; code: grpc.status }> } {
    const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    t.after(() => client.close());
    const toJson = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
    const fromJson = (bytes: Buffer): Hello => JSON.parse(bytes.toString());
    const request = { name: 'Ada', times: 10 };
    const call = client.makeServerStreamRequest('/example.Greeter/SayHelloOften', toJson, fromJson, request);
    let messages = 0;
    call.on('data', () => {
      messages += 1;
    });
    call.on('error', () => {});
    const all = new Promise<{ messages: number; code: grpc.status }>((resolve) => {
      call.on('status', ({ code }: grpc.StatusObject) => resolve({ messages, code }));
    });
    return { first: once(call, 'data'), all };
  }
});
