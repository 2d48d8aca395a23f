import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { describe, it } from 'node:test';
import { gracefulClose } from '../../src/index.ts';
import { listenTogether } from '../fixtures/close/reuse-sockets.ts';
import { assertEndsWell, observeFixture } from '../harness/observed-program.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen, listenHttp } from '../harness/servers.ts';
import { within } from '../harness/wait.ts';
import { ask, listenBusy, queueClients, SOON } from './calls-servers.ts';

const CLIENTS = 30;
const OK = 'HTTP/1.1 200 OK';

describe('a connection that was accepted by one server and handed to another', () => {
  const start = async (
    handler: http.RequestListener = () => {},
  ): Promise<{ web: http.Server; front: net.Server } & AsyncDisposable> => {
    const web = http.createServer(handler);
    const front = await listen(net.createServer((socket) => web.emit('connection', socket)));
    return { web, front, [Symbol.asyncDispose]: () => front[Symbol.asyncDispose]() };
  };

  for (const { closed, which } of [
    { closed: 'the one that accepted it', which: ['front'] },
    { closed: 'the one that serves it', which: ['web'] },
    { closed: 'both', which: ['front', 'web'] },
  ] as const) {
    it(`is brought to its end, and counted once, by a close of ${closed}`, async () => {
      await using servers = await start();
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
      const { atStart, ended } = connections;
      assert.deepEqual({ outcome, atStart, ended }, { outcome: 'complete', atStart: 1, ended: 1 });
    });
  }

  it('is told that it is the last one, though it comes from the queue', async () => {
    await using servers = await start((_, response) => void response.end('served'));
    const { front } = servers;
    const client = net.connect(portOf(front), '127.0.0.1');
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
  it('whose arrival the program meets with an exception is counted and brought to its end', async () => {
    await using program = observeFixture('close/call-throwing');
    const { report, facts } = await program.next('closed');
    assert.equal(facts?.thrown, 5);
    const { fromQueues, ended } = report?.connections ?? {};
    assert.deepEqual({ outcome: report?.outcome, fromQueues, ended }, { outcome: 'complete', fromQueues: 5, ended: 5 });
    await assertEndsWell(program);
  });

  it('is served though quiet connections are given no time at all', async () => {
    await using server = await listenHttp();
    await using queue = queueClients(portOf(server), CLIENTS);
    const report = await gracefulClose(server, { idleWait: 0 });
    assert.deepEqual(
      await queue.answers,
      Array.from({ length: CLIENTS }, () => OK),
    );
    const { outcome, connections } = report;
    assert.deepEqual({ outcome, fromQueues: connections.fromQueues }, { outcome: 'complete', fromQueues: CLIENTS });
  });

  it('that the server drops, having enough, is named as cut', async () => {
    const enough = 10;
    const waiting: http.ServerResponse[] = [];
    let dropped = 0;
    const answerWhenAllCame = (): void => {
      if (waiting.length + dropped < CLIENTS) return;
      for (const response of waiting) response.end('served');
    };
    await using server = await listenHttp((_, response) => {
      waiting.push(response);
      answerWhenAllCame();
    });
    server.maxConnections = enough;
    server.on('drop', () => {
      dropped += 1;
      answerWhenAllCame();
    });
    await using queue = queueClients(portOf(server), CLIENTS);
    const { outcome, connections } = await gracefulClose(server, SOON);
    assert.equal((await queue.answers).filter((answer) => answer === OK).length, enough);
    const { fromQueues, ended } = connections;
    assert.deepEqual({ outcome, fromQueues, ended }, { outcome: 'forced', fromQueues: CLIENTS, ended: enough });
    assert.equal(connections.cut.length, CLIENTS - enough);
    for (const { remote, reason } of connections.cut) {
      assert.match(remote, /^127\.0\.0\.1:\d+$/);
      assert.equal(reason, 'dropped');
    }
  });

  it('that is thrown away because no descriptor is left is named as cut', async () => {
    await using program = observeFixture('close/call-without-descriptors');
    const { port = 0 } = await program.next('listening');
    const clients = Array.from({ length: 5 }, () => ask(port));
    await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
    program.order('close');
    const { report } = await program.next('closed');
    const answers = await Promise.all(clients.map(({ answer }) => answer));
    // A descriptor may come free, and let one of them in.
    const lost = answers.filter((answer) => answer !== OK).length;
    assert(lost > 0, 'all were served');
    assert.deepEqual(
      { outcome: report?.outcome, queued: report?.listeners[0]?.queued },
      { outcome: 'forced', queued: 5 },
    );
    assert.equal(report?.connections.ended, 5 - lost);
    assert.deepEqual(
      report?.connections.cut.map(({ reason }) => reason),
      Array.from({ length: lost }, () => 'never accepted'),
    );
  });

  it('that is reset because the program closed the server itself is named as cut', async () => {
    await using server = await listenHttp();
    await using queue = queueClients(portOf(server), CLIENTS);
    const close = gracefulClose(server, SOON);
    server.close();
    const { outcome, connections, listeners } = await close;
    const reset = (await queue.answers).filter((answer) => answer === 'ECONNRESET').length;
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
  const proof = prove('clients of a server that is closed by another that has closed');

  const start = async (
    scope: Scope,
    listenFirst?: (scope: Scope) => Promise<Descriptor>,
  ): Promise<{ first: http.Server; second: http.Server }> => {
    const first = http.createServer((_, response) => void response.end('served'));
    scope.use(await listen(first, await listenFirst?.(scope)));
    const second = scope.use(await listenHttp());
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
      await using scope = new Scope();
      const { first, second } = await start(scope, listenFirst);
      const told: string[] = [];
      for (const [name, server] of Object.entries({ first, second })) {
        server.on('close', () =>
          told.push(`${name}, ${first.listening || second.listening ? 'not ' : ''}the last one`),
        );
      }
      await using queue = queueClients(portOf(second), CLIENTS);
      const report = await gracefulClose([first, second], SOON);
      assert.deepEqual(
        await queue.answers,
        Array.from({ length: CLIENTS }, () => OK),
      );
      // All were queued when the close began. The gate may shut some turns later, after a search for other holders.
      const { atStart, fromQueues } = report.connections;
      assert.deepEqual(
        { outcome: report.outcome, atStart, fromQueues },
        { outcome: 'complete', atStart: 0, fromQueues: CLIENTS },
      );
      assert(gates.includes(report.listeners[0]?.gate ?? ''));
      // Node tells of the second once more, where the first's listener closes it when it has closed.
      assert.deepEqual(new Set(told), new Set(['first, the last one', 'second, the last one']));
      proof.held(t, { queued: CLIENTS });
    });
  }

  it('have their control: where the first is closed plainly, the clients of the second are reset', async (t) => {
    await using scope = new Scope();
    const { first, second } = await start(scope);
    await using queue = queueClients(portOf(second), CLIENTS);
    // At once: in the turns that a graceful close of the first takes, the second may serve all of its clients.
    first.close();
    const reset = (await queue.answers).filter((answer) => answer === 'ECONNRESET').length;
    assert(reset > 0, 'nobody was reset');
    proof.lost(t, reset);
  });
});

describe('a server that listens anew while its close still has a busy connection', () => {
  it('is a new one: its clients are not of that close, and it can be closed, too', async () => {
    await using busy = await listenBusy();
    const { server, client, answer } = busy;
    const listenerClosed = nextMessage('lastcall:listener');
    const first = gracefulClose(server, SOON);
    await listenerClosed;
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const asked = once(server, 'request');
    const newcomer = ask(portOf(server), 'keep-alive');
    const [, response] = await asked;
    const second = gracefulClose(server, SOON);
    assert.notEqual(second, first);
    answer();
    assert.equal(await client.answer, OK);
    const { connections } = await first;
    const { atStart, fromQueues, ended } = connections;
    assert.deepEqual({ atStart, fromQueues, ended }, { atStart: 1, fromQueues: 0, ended: 1 });

    response.end('served');
    assert.equal(await newcomer.answer, OK);
    const report = await second;
    assert.deepEqual(
      { outcome: report.outcome, ended: report.connections.ended, listeners: report.listeners.length },
      { outcome: 'complete', ended: 2, listeners: 1 },
    );
  });
});

describe('what a program writes after the FIN of its quiet connection', () => {
  it('is counted as late, and does not end the program', async () => {
    await using server = await listen(
      net.createServer({ allowHalfOpen: true }, (socket) => socket.on('data', () => socket.write('too late'))),
    );
    await using scope = new Scope();
    const client = net.connect({ host: '127.0.0.1', port: portOf(server), allowHalfOpen: true });
    scope.defer(() => client.destroy());
    await Promise.all([once(client, 'connect'), once(server, 'connection')]);
    const close = gracefulClose(server, { idleWait: 0, lingerWait: 10_000 });
    await once(client.resume(), 'end');
    client.end('a question');
    const { outcome, connections } = await close;
    assert.deepEqual({ outcome, ended: connections.ended }, { outcome: 'complete', ended: 1 });
    assert(connections.lateRequests >= 1, 'nothing was counted');
  });
});

/** What `listen` takes, too, though its types do not say so. */
type Descriptor = net.ListenOptions & { readonly fd: number };

/** How to listen with a socket that somebody else has made, and may hold. */
async function byDescriptor(): Promise<Descriptor> {
  return { fd: listenTogether(0) };
}

/** How to listen with a socket that another process serves as well. */
async function byDescriptorOfAnother(scope: Scope): Promise<Descriptor> {
  const fd = listenTogether(0);
  await scope.use(observeFixture('sharing/share-by-descriptor', { descriptors: [fd] })).next('listening');
  return { fd };
}

function nextMessage(channel: string): Promise<unknown> {
  const told = new Promise((resolve) => {
    const take = (message: unknown): void => {
      unsubscribe(channel, take);
      resolve(message);
    };
    subscribe(channel, take);
  });
  return within(`a message on ${channel}`, told);
}
