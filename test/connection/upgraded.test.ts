import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { type DrainingConnection, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen, listenHttp } from '../harness/servers.ts';
import { until } from '../harness/wait.ts';
import { LineClient } from './line-client.ts';

const OPTIONS = { idleWait: 800, lingerWait: 800 };

for (const { kind, start } of [
  { kind: 'upgraded to something that is no WebSocket', start: startUpgraded },
  { kind: 'that is a CONNECT tunnel', start: startTunnel },
]) {
  describe(`a connection ${kind}`, { timeout: 180_000, concurrency: true }, () => {
    const proof = prove(`who talks on a connection ${kind}`);

    it('is served until it is quiet, and half-closed without another word; what comes then is still read', async (t) => {
      await using scope = new Scope();
      const { server, client, received } = await start(scope);
      const closing = gracefulClose(server, OPTIONS);
      const began = performance.now();
      // Time is what is tested: it talks for twice as long as a quiet one may be quiet.
      for (let line = 1; performance.now() - began < 2 * OPTIONS.idleWait; line += 1) {
        assert.equal(await client.ask(`line ${line}`), `line ${line}`);
        await sleep(50);
      }
      assert.equal(await client.next(), undefined);
      client.socket.end('late\n');
      const { outcome, connections, duration } = await closing;
      assert.equal(await client.ended, 'the end');
      const { ended, cut, farewells } = connections;
      assert.deepEqual(
        { outcome, ended, cut, said: farewells.said },
        { outcome: 'complete', ended: 1, cut: [], said: 0 },
      );
      // Behind the tunnel it arrives a little later.
      await until('the late line has come', () => received.at(-1) === 'late');
      assert(duration > 2 * OPTIONS.idleWait, `${duration} ms`);
      proof.held(t, { connections: ended });
    });

    it('is told the farewell of raw connections, and its answer is awaited', async () => {
      await using scope = new Scope();
      const { server, client } = await start(scope);
      const closing = gracefulClose(server, {
        ...OPTIONS,
        farewell: { say: () => Buffer.from('closing\n'), answered: (words) => words.includes('bye') },
      });
      assert.equal(await client.next(), 'closing');
      client.socket.end('bye\n');
      const { outcome, connections } = await closing;
      assert.deepEqual(
        { outcome, farewells: connections.farewells },
        { outcome: 'complete', farewells: { said: 1, answered: 1, unanswered: 0 } },
      );
    });

    it('control: cannot be closed plainly but by cutting it off', async (t) => {
      await using scope = new Scope();
      const { server, client, cut } = await start(scope);
      server.close();
      cut();
      assert.equal(await client.ask('anybody?'), undefined);
      proof.lost(t, 1);
    });
  });
}

describe('onDrain', { timeout: 180_000 }, () => {
  it('is shown a WebSocket as one, and may have it say its own last words before the Close', async () => {
    await using scope = new Scope();
    await using server = await listenHttp();
    const webSockets = new WebSocketServer({ server });
    const client = new WebSocket(`ws://127.0.0.1:${portOf(server)}`);
    scope.defer(() => client.terminate());
    await once(client, 'open');
    const words = once(client, 'message');
    const closed = once(client, 'close');
    const shown: DrainingConnection[] = [];
    const report = await gracefulClose(server, {
      webSockets,
      onDrain: async (connection) => {
        shown.push(connection);
        // The Close waits for what this does.
        await sleep(50);
        for (const socket of webSockets.clients) socket.send('last words');
      },
    });
    assert.deepEqual(
      {
        words: String((await words)[0]),
        code: (await closed)[0],
        shown: shown.map(({ protocol }) => protocol),
      },
      { words: 'last words', code: 1001, shown: ['websocket'] },
    );
    assert.deepEqual(report.connections.farewells, { said: 1, answered: 1, unanswered: 0 });
  });

  it('is shown an upgraded connection that is no WebSocket as raw, and may end it itself', async () => {
    await using scope = new Scope();
    const { server, client } = await startUpgraded(scope);
    const shown: string[] = [];
    const idleWait = 5_000;
    const closing = gracefulClose(server, {
      idleWait,
      onDrain: ({ socket, protocol }) => {
        shown.push(protocol);
        socket.end('closing\n');
      },
    });
    assert.equal(await client.next(), 'closing');
    assert.equal(await client.ended, 'the end');
    client.socket.end();
    const report = await closing;
    assert.deepEqual({ shown, outcome: report.outcome }, { shown: ['raw'], outcome: 'complete' });
    // It need not have been quiet.
    assert(report.duration < idleWait / 2, `${report.duration} ms`);
  });

  it('is given the HTTP/2 session that the program knows, and may end its endless streams', async () => {
    await using scope = new Scope();
    await using server = await listen(http2.createServer());
    const streams: http2.ServerHttp2Stream[] = [];
    server.on('stream', (stream) => {
      streams.push(stream);
      stream.respond();
      stream.write('for ever');
    });
    const client = http2.connect(`http://127.0.0.1:${portOf(server)}`);
    scope.defer(() => client.destroy());
    const request = client.request();
    await once(request, 'data');
    const ended = once(request.resume(), 'end');
    const shown: unknown[] = [];
    const report = await gracefulClose(server, {
      onDrain: ({ protocol, session }) => {
        shown.push(protocol);
        for (const stream of streams) if (stream.session === session) stream.end();
      },
    });
    await ended;
    assert.deepEqual({ shown, outcome: report.outcome }, { shown: ['h2'], outcome: 'complete' });
  });

  it('is asked soon of a response that is begun during the close on a connection that was quiet', async () => {
    await using scope = new Scope();
    const { server, client } = await startQuiet(scope);
    // Long after the request; the default would be 2 s.
    const closing = gracefulClose(server, { idleWait: 5_000, onDrain: ({ response }) => response?.end('the end') });
    const asked = performance.now();
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(client, 'end');
    assert(performance.now() - asked < 2_500, `${performance.now() - asked} ms`);
    assert.equal((await closing).outcome, 'complete');
  });
});

/** A connection that is kept after one request, to a server whose next response does not end. */
async function startQuiet(scope: Scope): Promise<{ readonly server: http.Server; readonly client: net.Socket }> {
  let requests = 0;
  const server = scope.use(
    await listenHttp((_request, response) => {
      requests += 1;
      if (requests === 1) response.end('served');
      else response.write('for ever');
    }),
  );
  const client = net.connect(portOf(server), '127.0.0.1');
  scope.defer(() => client.destroy());
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(client, 'data');
  return { server, client };
}

interface Started {
  readonly server: http.Server;
  readonly client: LineClient;
  /** The lines that the program has got. */
  readonly received: readonly string[];
  readonly cut: () => void;
}

/** A server that echoes lines once a client has asked for that. */
async function startUpgraded(scope: Scope): Promise<Started> {
  const server = scope.use(await listenHttp());
  const received: string[] = [];
  const upgraded = once(server, 'upgrade');
  server.on('upgrade', (_request, socket: net.Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n');
    echo(socket, received);
  });
  const client = await connect(
    scope,
    server,
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n',
  );
  const [, socket] = await upgraded;
  return { server, client, received, cut: () => socket.destroy() };
}

/** A proxy with a tunnel to a server that echoes lines. */
async function startTunnel(scope: Scope): Promise<Started> {
  const received: string[] = [];
  const upstream = scope.use(await listen(net.createServer((socket) => echo(socket, received))));
  const server = scope.use(await listenHttp());
  const connected = once(server, 'connect');
  server.on('connect', (_request, socket: net.Socket) => {
    const through = net.connect(portOf(upstream), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      socket.pipe(through).pipe(socket);
    });
    for (const end of [socket, through]) end.on('error', () => end.destroy());
    // Once its other side has closed nobody reads from it, nor sees it end.
    scope.defer(() => through.destroy());
  });
  const client = await connect(scope, server, 'CONNECT example.test:7 HTTP/1.1\r\nHost: example.test:7\r\n\r\n');
  const [, socket] = await connected;
  return { server, client, received, cut: () => socket.destroy() };
}

/** A client that has the server's answer to its request, and does not end when the server does. */
async function connect(scope: Scope, server: http.Server, request: string): Promise<LineClient> {
  const client = scope.use(new LineClient(portOf(server), { staysOpen: true }));
  client.socket.write(request);
  let line = await client.next();
  while (line !== '' && line !== undefined) line = await client.next();
  return client;
}

function echo(socket: net.Socket, received: string[]): void {
  socket.on('error', () => socket.destroy());
  createInterface({ input: socket }).on('line', (line) => {
    received.push(line);
    if (socket.writable) socket.write(`${line}\n`);
  });
}
