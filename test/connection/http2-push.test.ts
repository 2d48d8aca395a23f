import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { suite, test } from 'node:test';
import { sendNotice } from '../../src/connection/http2/notice.ts';
import { hasUnread } from '../../src/connection/quiet.ts';
import { gracefulClose } from '../../src/index.ts';
import { pauseReads } from '../../src/node/fields.ts';
import { type FramesSeen, watchFrames } from '../fixtures/connection/http2/http2-wire.ts';
import { prove } from '../harness/proof.ts';
import { listen } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';

// The last stream of the GOAWAY that is only a notice (RFC 9113 6.8).
const NOTICE = 2 ** 31 - 1;

const proof = prove('HTTP/2 streams of a program that pushes, in cleartext');

suite('server push in cleartext, in a close', () => {
  test('streams and pushes that are open come to their end, and the session gets no notice', async (t) => {
    await using pair = await openPair();
    const { server, client, frames, streams } = pair;
    const ends = [pair.ask('/push'), pair.ask('/push'), pair.ask('/')];
    await until('all have begun', () => streams.size === 3 && pair.pushed.length === 2);
    const closing = gracefulClose(server, { deadline: 10_000 });
    await until('the GOAWAY has come', () => frames.goaways.length > 0);
    pair.answerAll();
    assert.deepEqual(await within('the ends of the streams', Promise.all(ends)), ['main', 'main', 'main']);
    assert.deepEqual(await within('the ends of the pushes', Promise.all(pair.pushed)), ['pushed', 'pushed']);
    const { outcome, connections } = await closing;
    assert.deepEqual({ outcome, cut: connections.cut }, { outcome: 'complete', cut: [] });
    assert.deepEqual([...new Set(frames.goaways)], [5]);
    assert.equal(client.destroyed, true);
    proof.held(t, { streams: 3, pushes: 2 });
  });

  test('a session on which nothing was pushed gets the notice, and its streams may not push after it', async (t) => {
    await using pair = await openPair();
    const { server, frames, streams } = pair;
    const ends = [pair.ask('/')];
    await until('it has begun', () => streams.size === 1);
    const closing = gracefulClose(server, { deadline: 10_000 });
    await until('the notice has come', () => frames.goaways.length > 0);
    const [stream] = streams.values();
    assert.equal(stream?.pushAllowed, false);
    assert.throws(() => push(stream), { code: 'ERR_HTTP2_PUSH_DISABLED' });
    pair.answerAll();
    assert.deepEqual(await within('the end of the stream', Promise.all(ends)), ['main']);
    const { outcome } = await closing;
    assert.equal(outcome, 'complete');
    assert.equal(frames.goaways[0], NOTICE);
    proof.held(t, { streams: 1 });
  });

  test('control: what is pushed after the notice ends the session, and the streams with it', async (t) => {
    await using pair = await openPair();
    const { frames, streams, transport } = pair;
    const ends = [pair.ask('/'), pair.ask('/'), pair.ask('/')];
    await until('all have begun', () => streams.size === 3);
    // The client answers the notice with a GOAWAY of its own, after which it takes no push. The server has not read that yet.
    const resumeReads = pauseReads(transport);
    assert.equal(sendNotice(transport), 'sent');
    await until('the client has answered', () => frames.goaways.length > 0 && hasUnread(transport));
    for (const stream of streams.values()) push(stream)();
    await until('the pushes are sent', () => pair.client.destroyed);
    resumeReads();
    const lost = (await within('the ends of the streams', Promise.all(ends))).filter((end) => end !== 'main');
    assert.deepEqual(lost, ['ERR_HTTP2_ERROR', 'ERR_HTTP2_ERROR', 'ERR_HTTP2_ERROR']);
    proof.lost(t, lost.length);
  });
});

interface Pair extends AsyncDisposable {
  readonly server: http2.Http2Server;
  readonly client: http2.ClientHttp2Session;
  /** The server's end of the connection. */
  readonly transport: net.Socket;
  readonly frames: FramesSeen;
  /** The client's streams, as the server has them, and not answered. */
  readonly streams: ReadonlySet<http2.ServerHttp2Stream>;
  /** What came of each push that the client has been promised. */
  readonly pushed: readonly Promise<string>[];
  /** Asks for a path. Resolves with the answer, or the code of the error. */
  ask(path: string): Promise<string>;
  /** Has the server answer what it has, pushes included. */
  answerAll(): void;
}

/** A server that pushes where it is asked for `/push`, and answers when it is told to; and one session of a client. */
async function openPair(): Promise<Pair> {
  const streams = new Set<http2.ServerHttp2Stream>();
  const answers: (() => void)[] = [];
  const server = http2.createServer();
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    streams.add(stream);
    answers.push(() => answer(stream, 'main'));
    if (headers[':path'] === '/push') answers.push(push(stream));
  });
  server.on('sessionError', () => {});
  const listening = await listen(server);
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  const { port } = server.address() as net.AddressInfo;
  const frames: FramesSeen = { opened: [], goaways: [] };
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const client = http2.connect(`http://127.0.0.1:${port}`, { createConnection: () => watchFrames(socket, frames) });
  client.on('error', () => {});
  const pushed: Promise<string>[] = [];
  client.on('stream', (stream) => void pushed.push(textOf(stream)));
  const [transport] = await accepted;
  return {
    server,
    client,
    transport,
    frames,
    streams,
    pushed,
    ask: (path) => textOf(client.request({ ':path': path })),
    answerAll: () => {
      for (const say of answers.splice(0)) say();
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

/** Pushes on a stream. Returns a function that answers the push. */
function push(stream: http2.ServerHttp2Stream): () => void {
  let pushed: http2.ServerHttp2Stream | undefined;
  stream.pushStream({ ':path': '/pushed' }, (_, made) => {
    pushed = made;
    made?.on('error', () => {});
    made?.respond({ ':status': 200 });
  });
  return () => pushed?.end('pushed');
}

function answer(stream: http2.ServerHttp2Stream, text: string): void {
  if (stream.destroyed) return;
  stream.respond({ ':status': 200 });
  stream.end(text);
}

/** What a stream brings, or the code of its error. */
function textOf(stream: http2.ClientHttp2Stream): Promise<string> {
  let text = '';
  let code: string | undefined;
  stream.setEncoding('utf8');
  stream.on('data', (part: string) => {
    text += part;
  });
  stream.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code;
  });
  return new Promise((resolve) => stream.once('close', () => resolve(code ?? text)));
}
