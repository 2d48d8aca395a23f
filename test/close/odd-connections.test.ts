import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { gracefulClose } from '../../src/index.ts';
import { listenTogether } from '../fixtures/close/reuse-sockets.ts';
import { startProgram } from '../harness/observed-program.ts';
import { ask, blockUntilQueued, portOf, SOON, startBusy, startHttp, startServer } from './calls-servers.ts';

const CLIENTS = 30;
const OK = 'HTTP/1.1 200 OK';

describe('a connection that was accepted by one server and handed to another', () => {
  const start = async (
    t: TestContext,
    handler?: http.RequestListener,
  ): Promise<{ web: http.Server; front: net.Server }> => {
    const web = http.createServer(handler ?? (() => {}));
    const front = net.createServer((socket) => web.emit('connection', socket));
    return { web, front: await startServer(t, front) };
  };

  for (const { closed, which } of [
    { closed: 'the one that accepted it', which: ['front'] },
    { closed: 'the one that serves it', which: ['web'] },
    { closed: 'both', which: ['front', 'web'] },
  ] as const) {
    it(`is brought to its end, and counted once, by a close of ${closed}`, async (t) => {
      const servers = await start(t);
      const asked = once(servers.web, 'request');
      const client = ask(portOf(servers.front), 'keep-alive');
      const [, response] = await asked;
      const close = gracefulClose(
        which.map((name) => servers[name]),
        SOON,
      );
      response.end('served');
      assert.equal(await client.answer, OK);
      const { outcome, connections } = await close;
      assert.deepEqual([outcome, connections.atStart, connections.ended], ['complete', 1, 1]);
    });
  }

  it('is told that it is the last one, though it comes from the queue', async (t) => {
    const { front } = await start(t, (_, response) => void response.end('served'));
    const { port } = front.address() as net.AddressInfo;
    const client = net.connect(port, '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const closed = once(client, 'close');
    const text = once(client, 'data').then(([bytes]) => String(bytes));
    await new Promise<void>((resolve) => process.nextTick(resolve));
    const close = gracefulClose(front);
    assert.match(await text, /^Connection: close\r$/m);
    await closed;
    assert.equal((await close).connections.fromQueues, 1);
  });
});

describe('a queued client', () => {
  it('whose arrival the program meets with an exception is counted and brought to its end', async (t) => {
    const program = startProgram(t, 'close/call-throwing.js');
    const { report, facts } = await program.next('closed');
    assert.equal(facts?.thrown, 5);
    assert.deepEqual([report?.outcome, report?.connections.fromQueues, report?.connections.ended], ['complete', 5, 5]);
    assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' });
  });

  it('is served though quiet connections are given no time at all', async (t) => {
    const server = await startHttp(t);
    const answers = blockUntilQueued(t, portOf(server), CLIENTS, 0);
    const report = await gracefulClose(server, { idleWait: 0 });
    assert.deepEqual(
      await answers,
      Array.from({ length: CLIENTS }, () => OK),
    );
    assert.deepEqual([report.outcome, report.connections.fromQueues], ['complete', CLIENTS]);
  });

  it('that the server drops, having enough, is named as cut', async (t) => {
    const enough = 10;
    const waiting: http.ServerResponse[] = [];
    let dropped = 0;
    const answerWhenAllCame = (): void => {
      if (waiting.length + dropped < CLIENTS) return;
      for (const response of waiting) response.end('served');
    };
    const server = await startHttp(t, (_, response) => {
      waiting.push(response);
      answerWhenAllCame();
    });
    server.maxConnections = enough;
    server.on('drop', () => {
      dropped += 1;
      answerWhenAllCame();
    });
    const answers = blockUntilQueued(t, portOf(server), CLIENTS, 0);
    const { outcome, connections } = await gracefulClose(server, SOON);
    assert.equal((await answers).filter((answer) => answer === OK).length, enough);
    assert.deepEqual([outcome, connections.fromQueues, connections.ended], ['forced', CLIENTS, enough]);
    assert.equal(connections.cut.length, CLIENTS - enough);
    for (const { remote, reason } of connections.cut) {
      assert.match(remote, /^127\.0\.0\.1:\d+$/);
      assert.equal(reason, 'dropped');
    }
  });

  it('that is thrown away because no descriptor is left is named as cut', async (t) => {
    const program = startProgram(t, 'close/call-without-descriptors.js');
    const { port = 0 } = await program.next('listening');
    const clients = Array.from({ length: 5 }, () => ask(port));
    await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
    program.order('close');
    const { report } = await program.next('closed');
    const answers = await Promise.all(clients.map(({ answer }) => answer));
    // A descriptor may come free, and let one of them in.
    const lost = answers.filter((answer) => answer !== OK).length;
    assert(lost > 0, 'all were served');
    assert.deepEqual([report?.outcome, report?.listeners[0]?.queued], ['forced', 5]);
    assert.equal(report?.connections.ended, 5 - lost);
    assert.deepEqual(
      report?.connections.cut.map(({ reason }) => reason),
      Array.from({ length: lost }, () => 'never accepted'),
    );
  });

  it('that is reset because the program closed the server itself is named as cut', async (t) => {
    const server = await startHttp(t);
    const answers = blockUntilQueued(t, portOf(server), CLIENTS, 0);
    const close = gracefulClose(server, SOON);
    server.close();
    const { outcome, connections, listeners } = await close;
    const reset = (await answers).filter((answer) => answer === 'ECONNRESET').length;
    assert(reset >= CLIENTS - 1, `${reset} were reset`);
    assert.equal(outcome, 'forced');
    assert.equal(listeners[0]?.queued, CLIENTS);
    assert.deepEqual(
      connections.cut.map(({ reason }) => reason),
      Array.from({ length: reset }, () => 'never accepted'),
    );
    assert.equal(connections.ended, CLIENTS - reset);
  });
});

describe('servers of which one closes the other when it has closed, as some frameworks do', () => {
  const start = async (
    t: TestContext,
    listenFirst?: (t: TestContext) => Promise<{ readonly fd: number }>,
  ): Promise<{ first: http.Server; second: http.Server }> => {
    const first = http.createServer((_, response) => void response.end('served'));
    await once(first.listen((await listenFirst?.(t)) ?? { port: 0, host: '127.0.0.1' }), 'listening');
    t.after(() => first.close());
    const second = await startHttp(t);
    first.on('close', () => second.close());
    return { first, second };
  };

  for (const { which, listenFirst, gates } of [
    // After a fork its own one is in doubt where the host's processes cannot be searched in time.
    { which: 'both their own', listenFirst: undefined, gates: ['refuse', 'shared'] },
    { which: 'the first perhaps shared', listenFirst: byDescriptor, gates: ['shared'] },
    { which: 'the first shared', listenFirst: byDescriptorOfAnother, gates: ['shared'] },
  ]) {
    it(`are both empty before the first says that it has closed: ${which}`, async (t) => {
      const { first, second } = await start(t, listenFirst);
      const told: string[] = [];
      for (const [name, server] of Object.entries({ first, second })) {
        server.on('close', () =>
          told.push(`${name}, ${first.listening || second.listening ? 'not ' : ''}the last one`),
        );
      }
      const answers = blockUntilQueued(t, portOf(second), CLIENTS, 0);
      const report = await gracefulClose([first, second], SOON);
      assert.deepEqual(
        await answers,
        Array.from({ length: CLIENTS }, () => OK),
      );
      assert.deepEqual([report.outcome, report.listeners[1]?.queued], ['complete', CLIENTS]);
      assert(gates.includes(report.listeners[0]?.gate ?? ''));
      // Node tells of the second once more, where the first's listener closes it when it has closed.
      assert.deepEqual(new Set(told), new Set(['first, the last one', 'second, the last one']));
    });
  }

  it('have their control: where the first is closed alone, the clients of the second are reset', async (t) => {
    const { first, second } = await start(t);
    const answers = blockUntilQueued(t, portOf(second), CLIENTS, 0);
    await gracefulClose(first, SOON);
    const reset = (await answers).filter((answer) => answer === 'ECONNRESET').length;
    assert(reset > 0, 'nobody was reset');
  });
});

describe('a server that listens anew while its close still has a busy connection', () => {
  it('is a new one: its clients are not of that close, and it can be closed, too', async (t) => {
    const { server, client, answer } = await startBusy(t);
    const listenerClosed = nextMessage(t, 'lastcall:listener');
    const first = gracefulClose(server, SOON);
    await listenerClosed;
    await startServer(t, server);
    const asked = once(server, 'request');
    const newcomer = ask(portOf(server), 'keep-alive');
    const [, response] = await asked;
    const second = gracefulClose(server, SOON);
    assert.notEqual(second, first);
    answer();
    assert.equal(await client.answer, OK);
    const { connections } = await first;
    assert.deepEqual([connections.atStart, connections.fromQueues, connections.ended], [1, 0, 1]);

    response.end('served');
    assert.equal(await newcomer.answer, OK);
    const report = await second;
    assert.deepEqual([report.outcome, report.connections.ended, report.listeners.length], ['complete', 2, 1]);
  });
});

describe('what a program writes after the FIN of its quiet connection', () => {
  it('is counted as late, and does not end the program', async (t) => {
    const server = await startServer(
      t,
      net.createServer({ allowHalfOpen: true }, (socket) => socket.on('data', () => socket.write('too late'))),
    );
    const client = net.connect({ host: '127.0.0.1', port: portOf(server), allowHalfOpen: true });
    t.after(() => client.destroy());
    await Promise.all([once(client, 'connect'), once(server, 'connection')]);
    const close = gracefulClose(server, { idleWait: 0, lingerWait: 10_000 });
    await once(client.resume(), 'end');
    client.end('a question');
    const { outcome, connections } = await close;
    assert.deepEqual([outcome, connections.ended], ['complete', 1]);
    assert(connections.lateRequests >= 1, 'nothing was counted');
  });
});

/** How to listen with a socket that somebody else has made, and may hold. */
async function byDescriptor(): Promise<{ readonly fd: number }> {
  return { fd: listenTogether(0) };
}

/** How to listen with a socket that another process serves as well. */
async function byDescriptorOfAnother(t: TestContext): Promise<{ readonly fd: number }> {
  const fd = listenTogether(0);
  await startProgram(t, 'sharing/share-by-descriptor.js', { descriptors: [fd] }).next('listening');
  return { fd };
}

function nextMessage(t: TestContext, channel: string): Promise<unknown> {
  return new Promise((resolve) => {
    subscribe(channel, resolve);
    t.after(() => unsubscribe(channel, resolve));
  });
}
