import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { describe, it } from 'node:test';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen, listenHttp } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';
import { get, RawHttpClient } from './raw-http-client.ts';

const QUICK: CloseOptions = { idleWait: 200, lingerWait: 5_000, deadline: 8_000 };

/** Its client knows by the connection's end alone that it is whole. */
const WITHOUT_LENGTH = 'GET /short HTTP/1.0\r\nHost: x\r\n\r\n';

describe('a connection that a close does not take in, while that close goes on', { timeout: 30_000 }, () => {
  it('is ended by its last response as ever if it came to a server that listens anew', async () => {
    await using scope = new Scope();
    const { server, finish, closing } = await startLongClose(scope, () => {});
    await until('the server listens no more', () => !server.listening);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    using client = await RawHttpClient.connect(portOf(server));
    await assertEnds(client);
    finish();
    const { atStart, fromQueues } = (await closing).connections;
    assert.deepEqual({ atStart, fromQueues }, { atStart: 1, fromQueues: 0 });
  });

  it('is ended by its last response as ever if the program has unref’d it', async () => {
    await using scope = new Scope();
    const clients: RawHttpClient[] = [];
    const { finish, closing } = await startLongClose(scope, async (server) => {
      server.once('connection', (socket: net.Socket) => socket.unref());
      clients.push(scope.use(await RawHttpClient.connect(portOf(server))));
    });
    for (const client of clients) await assertEnds(client);
    finish();
    const { connections } = await closing;
    // It is a documented limit that it is not seen.
    assert.equal(connections.atStart, 1);
  });

  /** A close that goes on until its one response is finished. `before` runs when that is under way. */
  async function startLongClose(scope: Scope, before: (server: http.Server) => void | Promise<void>) {
    const responses: http.ServerResponse[] = [];
    const listening = await listenHttp((request, response) => {
      if (request.url === '/short') response.end('short');
      else responses.push(response);
    });
    const server = scope.use(listening);
    const client = scope.use(await RawHttpClient.connect(portOf(server)));
    client.endAfterServer();
    client.send(get('/long'));
    while (responses.length === 0) await once(server, 'request');
    await before(server);
    const closing = gracefulClose(server, QUICK);
    return { server, closing, finish: () => responses[0]?.end() };
  }

  async function assertEnds(client: RawHttpClient): Promise<void> {
    client.endAfterServer();
    client.send(WITHOUT_LENGTH);
    assert.equal(await client.ended, 'EOF');
    assert.match(client.text, /\r\n\r\nshort$/);
  }
});

describe('an HTTP/2 session on a connection that a net server has accepted and handed over', {
  timeout: 30_000,
}, () => {
  const proof = prove('a stream of an HTTP/2 session that a net server has handed over');

  for (const { does, options } of [
    { does: 'gets its GOAWAY, and its stream is finished', options: QUICK },
    {
      does: 'is not told the farewell of raw connections',
      options: { ...QUICK, farewell: { say: () => Buffer.from('bye\r\n') } },
    },
  ]) {
    it(does, async (t) => {
      const { streams, speaker } = collectStreams();
      await using server = await listen(net.createServer((socket) => speaker.emit('connection', socket)));
      await using scope = new Scope();
      const { session, request } = await openStream(scope, { server, speaker, streams });
      const goaway = once(session, 'goaway');
      const closing = gracefulClose(server, options);
      await goaway;
      for (const stream of streams) stream.end('served');
      assert.equal(await readAll(request), 'served');
      const { outcome, connections } = await closing;
      assert.deepEqual({ outcome, said: connections.farewells.said }, { outcome: 'complete', said: 1 });
      proof.held(t, { streams: streams.length });
    });
  }

  it('control: is cut by the end of the process', async (t) => {
    const accepted: net.Socket[] = [];
    const { streams, speaker } = collectStreams();
    await using server = await listen(
      net.createServer((socket) => {
        accepted.push(socket);
        speaker.emit('connection', socket);
      }),
    );
    await using scope = new Scope();
    const { request } = await openStream(scope, { server, speaker, streams });
    server.close();
    for (const socket of accepted) socket.destroy();
    const text = await within(
      'the end of the stream',
      readAll(request).catch(() => 'cut'),
    );
    assert.notEqual(text, 'served');
    proof.lost(t, streams.length);
  });
});

interface Speaker {
  readonly speaker: http2.Http2Server;
  /** Those that have been opened. */
  readonly streams: http2.ServerHttp2Stream[];
}

/** A server of HTTP/2 that does not listen, and answers nothing. */
function collectStreams(): Speaker {
  const streams: http2.ServerHttp2Stream[] = [];
  const speaker = http2.createServer().on('stream', (stream: http2.ServerHttp2Stream) => {
    stream.on('error', () => {});
    streams.push(stream);
  });
  return { speaker, streams };
}

/** A client with one stream that has come. */
async function openStream(
  scope: Scope,
  { server, speaker, streams }: Speaker & { readonly server: net.Server },
): Promise<{ session: http2.ClientHttp2Session; request: http2.ClientHttp2Stream }> {
  const session = http2.connect(`http://127.0.0.1:${portOf(server)}`);
  // What becomes of it is seen at its stream.
  session.on('error', () => {});
  scope.defer(() => session.destroy());
  const request = session.request({ ':path': '/' });
  while (streams.length === 0) await once(speaker, 'stream');
  return { session, request };
}

async function readAll(request: http2.ClientHttp2Stream): Promise<string> {
  request.setEncoding('utf8');
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
