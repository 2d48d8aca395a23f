import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { portOf, startHttp } from '../close/calls-servers.ts';
import { get, RawHttpClient } from './raw-http-client.ts';

const QUICK: CloseOptions = { idleWait: 200, lingerWait: 200, deadline: 8_000 };

const answerWithPath: http.RequestListener = (request, response) => void response.end(request.url);

describe('requests that were pipelined', () => {
  for (const { way, listener } of [
    { way: 'at once', listener: answerWithPath },
    { way: 'in a later turn', listener: (request, response) => void setImmediate(() => response.end(request.url)) },
  ] satisfies readonly { way: string; listener: http.RequestListener }[]) {
    it(`are all answered in order, ${way}, and only the last answer says close`, async (t) => {
      const server = await startHttp(t, listener);
      const client = await RawHttpClient.connect(t, portOf(server));
      client.send(get('/before'));
      await client.heard(/\/before$/);
      const close = gracefulClose(server, QUICK);
      client.send(get('/1') + get('/2') + get('/3'));
      assert.equal(await client.ended, 'EOF');
      client.socket.end();
      assert.deepEqual(client.responses, [
        { body: '/before', close: false },
        { body: '/1', close: false },
        { body: '/2', close: false },
        { body: '/3', close: true },
      ]);
      const { outcome, connections } = await close;
      assert.deepEqual(
        [outcome, connections.lateRequests, connections.farewells],
        ['complete', 0, { said: 1, answered: 1, unanswered: 0 }],
      );
    });
  }

  it('before the close are answered in order, though the first one takes longest', async (t) => {
    const responses: http.ServerResponse[] = [];
    const server = await startHttp(t, (_, response) => void responses.push(response));
    const client = await RawHttpClient.connect(t, portOf(server));
    client.send(get('/1') + get('/2') + get('/3'));
    while (responses.length < 3) await once(server, 'request');
    const close = gracefulClose(server, QUICK);
    for (const response of responses.toReversed()) {
      response.end(response.req.url);
      await wait(20);
    }
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.deepEqual(client.responses, [
      { body: '/1', close: false },
      { body: '/2', close: false },
      { body: '/3', close: true },
    ]);
    assert.equal((await close).outcome, 'complete');
  });

  it('behind the answer that said close never reach the program, and are counted as late', async (t) => {
    const asked: string[] = [];
    let finish = (): void => {};
    const server = await startHttp(t, (request, response) => {
      asked.push(request.url ?? '');
      response.write('first half,');
      finish = () => response.end('second half');
    });
    const client = await RawHttpClient.connect(t, portOf(server));
    const close = gracefulClose(server, QUICK);
    client.send(get('/1'));
    await client.heard(/first half/);
    client.send(get('/2'));
    await wait(50);
    finish();
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.match(client.text, /^connection: close\r$/im);
    assert.match(client.text, /second half/);
    assert.deepEqual(asked, ['/1']);
    const { outcome, connections } = await close;
    assert.deepEqual([outcome, connections.lateRequests], ['complete', 1]);
  });
});

describe('a kept connection', () => {
  it('that is quiet gets our FIN, and a request after it is read, counted as late, and never seen by the program', async (t) => {
    const asked: string[] = [];
    const server = await startHttp(t, (request, response) => {
      asked.push(request.url ?? '');
      response.end('served');
    });
    const client = await RawHttpClient.connect(t, portOf(server));
    client.send(get('/before'));
    await client.heard(/served$/);
    const close = gracefulClose(server, QUICK);
    assert.equal(await client.ended, 'EOF');
    client.send(get('/late'));
    await wait(50);
    client.socket.end();
    const { outcome, connections } = await close;
    assert.deepEqual(asked, ['/before']);
    assert.deepEqual([outcome, connections.ended, connections.lateRequests], ['complete', 1, 1]);
    // Not a reset: what came was read.
    assert.equal(client.socket.errored, null);
  });

  it('whose next request lies in the receive buffer when it would be half-closed is served', async (t) => {
    const server = await startHttp(t, answerWithPath);
    const client = await RawHttpClient.connect(t, portOf(server));
    client.send(get('/before'));
    await client.heard(/\/before$/);
    await wait(250);
    client.send(get('/next'));
    await new Promise((resolve) => client.socket.write('', resolve));
    // It has arrived, and this turn has not read it yet: by its last answer the connection has been quiet for long.
    const close = gracefulClose(server, QUICK);
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.deepEqual(client.responses.at(-1), { body: '/next', close: true });
    assert.equal((await close).connections.lateRequests, 0);
  });
});

describe('a request that is half sent', () => {
  it('keeps its head time limit while the server closes, and is answered when it is whole', async (t) => {
    const server = await startHttp(t, answerWithPath);
    const client = await RawHttpClient.connect(t, portOf(server));
    client.send('GET /half HTTP/1.1\r\nHo');
    await wait(50);
    const close = gracefulClose(server, QUICK);
    await wait(700);
    client.send('st: x\r\n\r\n');
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.deepEqual(client.responses, [{ body: '/half', close: true }]);
    assert.equal((await close).outcome, 'complete');
  });

  it('that stays half sent gets 408 when its time is up, and the close is complete', async (t) => {
    const server = http.createServer({ headersTimeout: 300, requestTimeout: 300, connectionsCheckingInterval: 100 });
    t.after(() => server.close());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const client = await RawHttpClient.connect(t, portOf(server));
    client.send('GET /half HTTP/1.1\r\nHo');
    await wait(50);
    const close = gracefulClose(server, QUICK);
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.match(client.text, /^HTTP\/1\.1 408 /);
    const { outcome, connections } = await close;
    assert.deepEqual([outcome, connections.ended], ['complete', 1]);
  });

  it('with `Expect: 100-continue` is told to go on, and answered', async (t) => {
    const server = await startHttp(t, (request, response) => {
      request.resume().on('end', () => response.end('got it'));
    });
    const client = await RawHttpClient.connect(t, portOf(server));
    const close = gracefulClose(server, QUICK);
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n');
    await client.heard(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
    client.send('body');
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.deepEqual(client.responses, [{ body: 'got it', close: true }]);
    assert.equal((await close).outcome, 'complete');
  });

  it('and answered early gets its whole answer, while the rest of the body goes on to the program', async (t) => {
    let received = 0;
    const server = await startHttp(t, (request, response) => {
      request.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      response.end('x'.repeat(20_000));
    });
    const client = await RawHttpClient.connect(t, portOf(server));
    const close = gracefulClose(server, QUICK);
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n');
    await client.heard(/x{20000}$/);
    for (let part = 0; part < 3; part++) {
      client.send('y'.repeat(100_000));
      await wait(100);
    }
    client.socket.end();
    assert.equal(await client.ended, 'EOF');
    const { outcome, connections } = await close;
    assert.deepEqual([outcome, connections.lateRequests], ['complete', 0]);
    assert.equal(received, 300_000);
  });
});

describe('a response that does not end by itself', () => {
  const startStream = async (t: TestContext, type: string): Promise<{ server: http.Server; client: RawHttpClient }> => {
    const server = await startHttp(t, (_, response) => {
      response.writeHead(200, { 'Content-Type': type });
      const timer = setInterval(() => response.write(`data: ${'x'.repeat(100)}\n\n`), 20);
      response.on('close', () => setTimeout(() => clearInterval(timer), 100));
    });
    const client = await RawHttpClient.connect(t, portOf(server));
    client.send(get('/stream'));
    await client.heard(/data/);
    return { server, client };
  };

  it('is ended between two events if it is an event stream, and the program may go on writing', async (t) => {
    const { server, client } = await startStream(t, 'text/event-stream; charset=utf-8');
    const close = gracefulClose(server, QUICK);
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.match(client.text, /\n\n\r\n0\r\n\r\n$/);
    const { outcome, connections } = await close;
    assert.deepEqual([outcome, connections.cut], ['complete', []]);
  });

  it('is ended by the program from onDrain', async (t) => {
    const { server, client } = await startStream(t, 'text/plain');
    const asked: unknown[] = [];
    const close = gracefulClose(server, {
      ...QUICK,
      onDrain: ({ socket, protocol, response }, signal) => {
        asked.push([protocol, socket === response?.socket, signal.aborted]);
        response?.end('the end');
      },
    });
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.match(client.text, /the end\r\n0\r\n\r\n$/);
    assert.deepEqual(asked, [['http/1.1', true, false]]);
    assert.equal((await close).outcome, 'complete');
  });

  it('is cut at the deadline otherwise, and named', async (t) => {
    const { server, client } = await startStream(t, 'text/plain');
    const { outcome, connections } = await gracefulClose(server, { ...QUICK, deadline: 500 });
    assert.equal(outcome, 'forced');
    assert.deepEqual(
      connections.cut.map(({ remote, protocol, reason }) => ({ remote, protocol, reason })),
      [{ remote: `127.0.0.1:${client.socket.localPort}`, protocol: 'http/1.1', reason: 'deadline' }],
    );
    assert.equal(connections.ended, 0);
  });
});

describe('what the program throws from onDrain', () => {
  for (const { way, onDrain } of [
    {
      way: 'at once',
      onDrain: () => {
        throw new Error('no');
      },
    },
    {
      way: 'later',
      onDrain: async () => {
        await wait(10);
        throw new Error('no');
      },
    },
  ]) {
    it(`${way} is in the report, and the close goes on`, async (t) => {
      const responses: http.ServerResponse[] = [];
      const server = await startHttp(t, (_, response) => void responses.push(response));
      const client = await RawHttpClient.connect(t, portOf(server));
      client.send(get('/'));
      await once(server, 'request');
      const close = gracefulClose(server, { ...QUICK, onDrain });
      await wait(100);
      responses[0]?.end('served');
      assert.equal(await client.ended, 'EOF');
      client.socket.end();
      const { outcome, errors } = await close;
      assert.equal(outcome, 'complete');
      assert.deepEqual(
        errors.map(({ code, message }) => [code, message]),
        [['ERR_CALLBACK', '`onDrain` threw']],
      );
    });
  }
});
