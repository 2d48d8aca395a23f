import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { type CloseOptions, type CloseReport, gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms } from '../harness/needs.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';

const OPTIONS: CloseOptions = { idleWait: 150, lingerWait: 500, deadline: 8_000 };
// Long after the close would have ended an event stream that it ends.
const LONG = 600;

const EVENT_SOURCE = { ':method': 'GET', ':path': '/events', accept: 'text/event-stream' };
const FETCH = { ':method': 'POST', ':path': '/chat', accept: '*/*' };

/** How a program takes a request over HTTP/2. */
const PROGRAMS = {
  'as over HTTP/1.1': takeRequests,
  'as a stream': takeStreams,
} as const;

for (const [how, take] of Object.entries(PROGRAMS)) {
  for (const over of ['in cleartext', 'over TLS'] as const) {
    const skip = over === 'over TLS' && needsPrograms('openssl');

    describe(`an event stream over HTTP/2 ${over}, which the program takes ${how}`, { timeout: 60_000, skip }, () => {
      const proof = prove(`an event stream over HTTP/2 ${over} that nobody takes up again, taken ${how}`);

      it('is reset between two events, for an EventSource, so that anybody else would see an error', async () => {
        await using scope = new Scope();
        const { saw, closing } = await closeDuring(scope, take, over, EVENT_SOURCE);
        await within('the end', saw.closed);
        assert.deepEqual(
          { error: saw.error, text: saw.text },
          { error: 'ERR_HTTP2_STREAM_ERROR', text: 'data: 1\n\n' },
        );
        const { outcome, connections } = await closing;
        const { eventStreams, cut } = connections;
        assert.deepEqual({ outcome, eventStreams, cut }, { outcome: 'complete', eventStreams: 1, cut: [] });
      });

      it('is not reset before what was written has gone out, for a client that is slow to read', async () => {
        await using scope = new Scope();
        const { saw, write, closing } = await closeDuring(scope, take, over, EVENT_SOURCE);
        saw.pause();
        // More than the client's window has room for.
        for (let event = 0; event < 4; event += 1) write(`data: ${'x'.repeat(30_000)}\n\n`);
        const timer = setInterval(() => write('data: later\n\n'), 10);
        scope.defer(() => clearInterval(timer));
        await wait(LONG);
        assert.equal(saw.isClosed, false);
        saw.resume();
        await within('the end', saw.closed);
        assert.equal(saw.text.match(/x\n\n/g)?.length, 4);
        assert.equal((await closing).connections.eventStreams, 1);
      });

      it('ends behind a blank line though a proxy writes it in pieces', async () => {
        await using scope = new Scope();
        const { saw, write, closing } = await closeDuring(scope, take, over, EVENT_SOURCE);
        const writing = (async () => {
          for (const pieces = ['data: ', 'x\n', '\n']; !saw.isClosed; pieces.push(pieces.shift() ?? '')) {
            write(pieces[0] ?? '');
            await wait(10);
          }
        })();
        await within('the end', saw.closed);
        await writing;
        assert.match(saw.text, /x\n\n$/);
        assert.equal(saw.error, 'ERR_HTTP2_STREAM_ERROR');
        assert.equal((await closing).connections.eventStreams, 1);
      });

      it('goes on to its own end where it answers a POST', async (t) => {
        await using scope = new Scope();
        const { saw, end, closing } = await closeDuring(scope, take, over, FETCH);
        // Time is what is tested.
        await wait(LONG);
        end('data: [DONE]\n\n');
        await within('the end', saw.closed);
        assert.deepEqual(
          { error: saw.error, text: saw.text },
          { error: undefined, text: 'data: 1\n\ndata: [DONE]\n\n' },
        );
        const { outcome, connections } = await closing;
        const { eventStreams } = connections;
        assert.deepEqual({ outcome, eventStreams }, { outcome: 'complete', eventStreams: 0 });
        proof.held(t, { streams: 1 });
      });

      it("control: is ended in its middle with `eventStreams: 'all'`", async (t) => {
        await using scope = new Scope();
        const { saw, closing } = await closeDuring(scope, take, over, FETCH, { eventStreams: 'all' });
        await within('the end', saw.closed);
        assert.deepEqual(
          { error: saw.error, text: saw.text },
          { error: 'ERR_HTTP2_STREAM_ERROR', text: 'data: 1\n\n' },
        );
        assert.equal((await closing).connections.eventStreams, 1);
        proof.lost(t, 1);
      });

      it('is left to `onDrain` as long as that is at work', async () => {
        await using scope = new Scope();
        let release = (): void => {};
        const drained = new Promise<void>((resolve) => (release = resolve));
        const options = { onDrain: () => drained };
        const { saw, end, closing } = await closeDuring(scope, take, over, EVENT_SOURCE, options);
        // Time is what is tested.
        await wait(LONG);
        end('data: last\n\n');
        release();
        await within('the end', saw.closed);
        assert.deepEqual({ error: saw.error, text: saw.text }, { error: undefined, text: 'data: 1\n\ndata: last\n\n' });
        assert.equal((await closing).outcome, 'complete');
      });
    });
  }
}

type Take = (server: http2.Http2Server | http2.Http2SecureServer) => Promise<Outlet>;

/** What a program writes its event stream to. */
interface Outlet {
  readonly write: (text: string) => void;
  readonly end: (text: string) => void;
}

async function takeRequests(server: http2.Http2Server | http2.Http2SecureServer): Promise<Outlet> {
  const [, response]: unknown[] = await once(server, 'request');
  assert(response instanceof http2.Http2ServerResponse);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  return { write: (text) => void response.write(text), end: (text) => void response.end(text) };
}

async function takeStreams(server: http2.Http2Server | http2.Http2SecureServer): Promise<Outlet> {
  const [stream]: http2.ServerHttp2Stream[] = await once(server, 'stream');
  stream?.respond({ 'content-type': 'text/event-stream' });
  return { write: (text) => void stream?.write(text), end: (text) => void stream?.end(text) };
}

/** What a client saw of its event stream. */
interface Saw {
  readonly text: string;
  readonly error: string | undefined;
  readonly isClosed: boolean;
  readonly closed: Promise<unknown>;
  readonly pause: () => void;
  readonly resume: () => void;
}

/** A server that is being closed while it answers with an event stream, which has had one event. */
async function closeDuring(
  scope: Scope,
  take: Take,
  over: 'in cleartext' | 'over TLS',
  headers: http2.OutgoingHttpHeaders,
  options: CloseOptions = {},
): Promise<Outlet & { readonly saw: Saw; readonly closing: Promise<CloseReport> }> {
  const isSecure = over === 'over TLS';
  const server = scope.use(await listen(isSecure ? http2.createSecureServer(makeCertificate()) : http2.createServer()));
  const taken = take(server);
  const authority = `${isSecure ? 'https' : 'http'}://127.0.0.1:${portOf(server)}`;
  const client = http2.connect(authority, { rejectUnauthorized: false });
  scope.defer(() => client.destroy());
  client.on('error', () => {});
  const request = client.request(headers, { endStream: true });
  const saw = watch(request);
  const { write, end } = await taken;
  write('data: 1\n\n');
  await until('the first event has come', () => saw.text !== '');
  return { write, end, saw, closing: gracefulClose(server, { ...OPTIONS, ...options }) };
}

function watch(request: http2.ClientHttp2Stream): Saw {
  const saw = {
    text: '',
    error: undefined as string | undefined,
    isClosed: false,
    closed: new Promise((resolve) => request.once('close', resolve)),
    pause: () => void request.pause(),
    resume: () => void request.resume(),
  };
  request.setEncoding('utf8').on('data', (text: string) => (saw.text += text));
  request.on('error', (error: NodeJS.ErrnoException) => (saw.error = error.code));
  request.on('close', () => (saw.isClosed = true));
  return saw;
}
