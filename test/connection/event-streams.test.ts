import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { EventSource } from 'eventsource';
import { type CloseOptions, type CloseReport, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listenHttp } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';
import { RawHttpClient } from './raw-http-client.ts';

const OPTIONS: CloseOptions = { idleWait: 150, lingerWait: 1_000, deadline: 8_000 };
// Long after the close would have ended an event stream that it ends.
const LONG = 600;

/** What the clients of event streams send. */
const REQUESTS = {
  'a POST by fetch': 'POST /chat HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nContent-Length: 0\r\n\r\n',
  'a POST of an MCP client':
    'POST /mcp HTTP/1.1\r\nHost: x\r\nAccept: application/json, text/event-stream\r\nContent-Length: 0\r\n\r\n',
  'a POST that accepts event streams alone':
    'POST /chat HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Length: 0\r\n\r\n',
  'a GET by fetch': 'GET /chat HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n',
  'a GET that says nothing of what it accepts': 'GET /chat HTTP/1.1\r\nHost: x\r\n\r\n',
} as const;
const EVENT_SOURCE = 'GET /events HTTP/1.1\r\nHost: x\r\nAccept: Text/Event-Stream ; q=1\r\n\r\n';

describe('an event stream that nobody takes up again', { timeout: 60_000, concurrency: true }, () => {
  for (const [which, request] of Object.entries(REQUESTS)) {
    const proof = prove(`an event stream that answers ${which}`);

    it(`goes on to its own end: the answer to ${which}`, async (t) => {
      await using scope = new Scope();
      const { client, response, closing } = await closeDuring(scope, request);
      // Time is what is tested.
      await wait(LONG);
      response.end('data: [DONE]\n\n');
      await client.heard(/\[DONE\]\n\n\r\n0\r\n\r\n$/);
      client.socket.end();
      const { outcome, connections } = await closing;
      assert.deepEqual(
        { outcome, eventStreams: connections.eventStreams, cut: connections.cut },
        { outcome: 'complete', eventStreams: 0, cut: [] },
      );
      proof.held(t, { 'under way': connections.ended });
    });

    it(`control: is ended in its middle with \`eventStreams: 'all'\`: the answer to ${which}`, async (t) => {
      await using scope = new Scope();
      const { client, response, closing } = await closeDuring(scope, request, { eventStreams: 'all' });
      assert.equal(await within('the end', client.ended), 'EOF');
      client.socket.end();
      response.end('data: [DONE]\n\n');
      // Even so it sees that something is missing: there is no last chunk.
      assert.doesNotMatch(client.text, /DONE|\r\n0\r\n/);
      assert.equal((await closing).connections.eventStreams, 1);
      proof.lost(t, 1);
    });
  }

  it('is cut at the deadline if it has no end, and named', async () => {
    await using scope = new Scope();
    const { closing } = await closeDuring(scope, REQUESTS['a POST by fetch'], { deadline: 500 });
    const { outcome, connections } = await closing;
    assert.deepEqual(
      { outcome, cut: connections.cut.map(({ reason }) => reason) },
      { outcome: 'forced', cut: ['deadline'] },
    );
  });
});

describe('the event stream of an EventSource', { timeout: 60_000, concurrency: true }, () => {
  it('is ended by the connection, without a last chunk, and followed by our FIN at once', async () => {
    await using scope = new Scope();
    const lingerWait = 6_000;
    const { client, closing } = await closeDuring(scope, EVENT_SOURCE, { lingerWait, deadline: 20_000 });
    assert.equal(await within('the end', client.ended), 'EOF');
    client.socket.end();
    assert.match(client.text, /data: 1\n\n\r\n$/);
    const { outcome, connections, duration } = await closing;
    const { eventStreams, ended, cut } = connections;
    assert.deepEqual(
      { outcome, eventStreams, ended, cut },
      { outcome: 'complete', eventStreams: 1, ended: 1, cut: [] },
    );
    assert(duration < lingerWait, `${duration} ms`);
  });

  it('is taken up again from its last event, and none is missing', async (t) => {
    await using scope = new Scope();
    const old = scope.use(await listenHttp(countEvents));
    const port = portOf(old);
    const source = new EventSource(`http://127.0.0.1:${port}/events`);
    scope.defer(() => source.close());
    const got: string[] = [];
    source.addEventListener('message', ({ data }) => void got.push(String(data)));
    await until('five events have come', () => got.length >= 5);
    const failed = new Promise((resolve) => source.addEventListener('error', resolve));
    const { outcome, connections } = await gracefulClose(old, OPTIONS);
    assert.deepEqual({ outcome, eventStreams: connections.eventStreams }, { outcome: 'complete', eventStreams: 1 });
    await within('the error of the connection', failed);
    // The successor listens before the client comes again.
    const successor = http.createServer(countEvents);
    scope.defer(() => successor.closeAllConnections());
    scope.defer(() => successor.close());
    await once(successor.listen(port, '127.0.0.1'), 'listening');
    const sofar = got.length;
    await until('more events have come', () => got.length >= sofar + 3);
    assert.deepEqual(
      got,
      Array.from({ length: got.length }, (_, index) => String(index + 1)),
    );
    t.diagnostic(`${sofar} events before the end`);
  });

  for (const { how, pieces } of [
    { how: 'each event in two pieces', pieces: ['data: x', '\n\n'] },
    { how: 'the end of one with the beginning of the next', pieces: ['x\n\ndata: ', 'y\n\ndata: '] },
    {
      how: 'lines that end with a carriage return and a line feed',
      pieces: ['data: x\r\n\r', '\ndata: y\r', '\n\r\ndata:'],
    },
    { how: 'a few bytes at a time', pieces: ['event: ', 'a', '\n', 'da', 'ta: b', '\n', '\n'] },
  ]) {
    it(`ends behind a blank line though a proxy writes ${how}`, async () => {
      await using scope = new Scope();
      const { client, response, closing } = await closeDuring(scope, EVENT_SOURCE, {}, pieces[0] ?? '');
      const writing = (async () => {
        for (let index = 1; !response.destroyed; index += 1) {
          response.write(pieces[index % pieces.length]);
          await wait(10);
        }
      })();
      assert.equal(await within('the end', client.ended), 'EOF');
      client.socket.end();
      assert.match(bodyOf(client.text), /(?:\r\n|\r|\n)(?:\r\n|\r|\n)$/);
      const { outcome, connections } = await closing;
      assert.deepEqual({ outcome, eventStreams: connections.eventStreams }, { outcome: 'complete', eventStreams: 1 });
      await writing;
    });
  }

  it('control: ends in the middle of an event when its connection is destroyed', async () => {
    await using scope = new Scope();
    const { client, response, closing } = await closeDuring(scope, EVENT_SOURCE, { eventStreams: 'none' }, 'data: x');
    await client.heard(/data: x/);
    response.socket?.end();
    assert.equal(await within('the end', client.ended), 'EOF');
    client.socket.end();
    assert.match(bodyOf(client.text), /data: x$/);
    await closing;
  });

  it('that is in the middle of an event for good is ended all the same, before the deadline', async () => {
    await using scope = new Scope();
    const options = { lingerWait: 200, deadline: 1_200 };
    const { client, response, closing } = await closeDuring(scope, EVENT_SOURCE, options);
    response.write('data: 2\n');
    assert.equal(await within('the end', client.ended), 'EOF');
    client.socket.end();
    const { outcome, duration } = await closing;
    assert.equal(outcome, 'complete');
    assert(duration > 500, `${duration} ms`);
  });

  it('may be written to after its end, and ended, without harm', async () => {
    await using scope = new Scope();
    const { client, response, closing } = await closeDuring(scope, EVENT_SOURCE);
    assert.equal(await within('the end', client.ended), 'EOF');
    let calls = 0;
    for (let event = 0; event < 3; event += 1) response.write('data: late\n\n', () => (calls += 1));
    response.end('data: last\n\n');
    await until('the callbacks were called', () => calls === 3);
    client.socket.end();
    assert.equal((await closing).outcome, 'complete');
    assert.doesNotMatch(client.text, /la[ts]/);
  });

  it('goes on with `eventStreams: none`', async () => {
    await using scope = new Scope();
    const { client, response, closing } = await closeDuring(scope, EVENT_SOURCE, { eventStreams: 'none' });
    // Time is what is tested.
    await wait(LONG);
    response.end('data: last\n\n');
    await client.heard(/last\n\n\r\n0\r\n\r\n$/);
    client.socket.end();
    assert.equal((await closing).connections.eventStreams, 0);
  });
});

describe('a function as `eventStreams`', { timeout: 60_000, concurrency: true }, () => {
  it('is asked once for each event stream, and decides', async () => {
    await using scope = new Scope();
    const asked: unknown[] = [];
    const { client, closing } = await closeDuring(scope, REQUESTS['a POST by fetch'], {
      eventStreams: ({ method, url, headers }) => {
        asked.push({ method, url, accept: headers.accept });
        return true;
      },
    });
    assert.equal(await within('the end', client.ended), 'EOF');
    client.socket.end();
    assert.equal((await closing).connections.eventStreams, 1);
    assert.deepEqual(asked, [{ method: 'POST', url: '/chat', accept: '*/*' }]);
  });

  it('that throws is in the report, and the event stream goes on', async () => {
    await using scope = new Scope();
    const { client, response, closing } = await closeDuring(scope, EVENT_SOURCE, {
      eventStreams: () => {
        throw new Error('no');
      },
    });
    // Time is what is tested.
    await wait(LONG);
    response.end('data: last\n\n');
    await client.heard(/last\n\n\r\n0\r\n\r\n$/);
    client.socket.end();
    const { errors } = await closing;
    assert.deepEqual(
      errors.map(({ code, message }) => ({ code, message })),
      [{ code: 'ERR_CALLBACK', message: '`eventStreams` threw' }],
    );
  });
});

/** A server that is being closed while it answers a request with an event stream, which has had `first`. */
async function closeDuring(
  scope: Scope,
  request: string,
  options: CloseOptions = {},
  first = 'data: 1\n\n',
): Promise<{ client: RawHttpClient; response: http.ServerResponse; closing: Promise<CloseReport> }> {
  const server = scope.use(await listenHttp(() => {}));
  const requested = once(server, 'request');
  const client = scope.use(await RawHttpClient.connect(portOf(server)));
  client.send(request);
  const [, response] = await requested;
  assert(response instanceof http.ServerResponse);
  response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' }).write(first);
  await client.heard(/\r\n\r\n/);
  return { client, response, closing: gracefulClose(server, { ...OPTIONS, ...options }) };
}

/** Numbers from the one behind the client's last, each with its id. */
function countEvents(request: http.IncomingMessage, response: http.ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  let id = Number(request.headers['last-event-id'] ?? 0);
  response.write('retry: 300\n\n');
  const timer = setInterval(() => response.write(`id: ${(id += 1)}\ndata: ${id}\n\n`), 20);
  response.on('close', () => clearInterval(timer));
}

/** What is in the chunks. */
function bodyOf(text: string): string {
  const [, chunks = ''] = text.split(/\r\n\r\n(.*)/s);
  let body = '';
  for (let rest = chunks; rest !== ''; ) {
    const [line = ''] = rest.split('\r\n', 1);
    const length = Number.parseInt(line, 16);
    body += rest.slice(line.length + 2, line.length + 2 + length);
    rest = rest.slice(line.length + 4 + length);
  }
  return body;
}
