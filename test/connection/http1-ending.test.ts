import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { describe, it } from 'node:test';
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen, listenHttp, untilRead } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';
import { get, RawHttpClient } from './raw-http-client.ts';

// The linger ends when the client ends its side, as it does here: its limit is not waited for.
const QUICK: CloseOptions = { idleWait: 200, lingerWait: 5_000, deadline: 8_000 };

const answerWithPath: http.RequestListener = (request, response) => void response.end(request.url);

/** Ends a server as the end of its process does. */
function endAtOnce(server: http.Server): void {
  server.close();
  server.closeAllConnections();
}

describe('requests that were pipelined', () => {
  const duringClose = prove('requests pipelined on a kept connection while its server closes');
  const beforeClose = prove('requests pipelined before their server closes');

  for (const { way, listener } of [
    { way: 'at once', listener: answerWithPath },
    { way: 'in a later turn', listener: (request, response) => void setImmediate(() => response.end(request.url)) },
  ] satisfies readonly { way: string; listener: http.RequestListener }[]) {
    it(`are all answered in order, ${way}, and only the last answer says close`, async (t) => {
      await using server = await listenHttp(listener);
      using client = await RawHttpClient.connect(portOf(server));
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
      const { lateRequests, farewells } = connections;
      assert.deepEqual(
        { outcome, lateRequests, farewells },
        { outcome: 'complete', lateRequests: 0, farewells: { said: 1, answered: 1, unanswered: 0 } },
      );
      duringClose.held(t, { pipelined: 3 });
    });
  }

  it('control: are not answered after a plain close, which ends the kept connection', async (t) => {
    await using server = await listenHttp(answerWithPath);
    using client = await RawHttpClient.connect(portOf(server));
    client.send(get('/before'));
    await client.heard(/\/before$/);
    server.close();
    client.send(get('/1') + get('/2') + get('/3'));
    await within('the end of the connection', client.ended);
    assert.equal(client.responses.length, 1);
    duringClose.lost(t, 3);
  });

  it('before the close are answered in order, though the first one takes longest', async (t) => {
    const responses: http.ServerResponse[] = [];
    await using server = await listenHttp((_, response) => void responses.push(response));
    using client = await RawHttpClient.connect(portOf(server));
    client.send(get('/1') + get('/2') + get('/3'));
    await until('three requests have come', () => responses.length === 3);
    const close = gracefulClose(server, QUICK);
    for (const response of responses.toReversed()) {
      response.end(response.req.url);
      await turn();
    }
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.deepEqual(client.responses, [
      { body: '/1', close: false },
      { body: '/2', close: false },
      { body: '/3', close: true },
    ]);
    assert.equal((await close).outcome, 'complete');
    beforeClose.held(t, { pipelined: 3 });
  });

  it('control: before the end of the process are not answered', async (t) => {
    const responses: http.ServerResponse[] = [];
    await using server = await listenHttp((_, response) => void responses.push(response));
    using client = await RawHttpClient.connect(portOf(server));
    client.send(get('/1') + get('/2') + get('/3'));
    await until('three requests have come', () => responses.length === 3);
    endAtOnce(server);
    for (const response of responses.toReversed()) response.end(response.req.url);
    await within('the end of the connection', client.ended);
    assert.equal(client.text, '');
    beforeClose.lost(t, 3);
  });

  it('behind the answer that said close never reach the program, and are counted as late', async () => {
    const asked: string[] = [];
    let finish = (): void => {};
    await using server = await listenHttp((request, response) => {
      asked.push(request.url ?? '');
      response.write('first half,');
      finish = () => response.end('second half');
    });
    using client = await RawHttpClient.connect(portOf(server));
    const close = gracefulClose(server, QUICK);
    client.send(get('/1'));
    await client.heard(/first half/);
    client.send(get('/2'));
    await untilRead(server, client.socket);
    finish();
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.match(client.text, /^connection: close\r$/im);
    assert.match(client.text, /second half/);
    assert.deepEqual(asked, ['/1']);
    const {
      outcome,
      connections: { lateRequests },
    } = await close;
    assert.deepEqual({ outcome, lateRequests }, { outcome: 'complete', lateRequests: 1 });
  });
});

describe('a kept connection', () => {
  const late = prove('a client of a kept connection that asks after our FIN');
  const unread = prove('a request that lies unread on a kept connection when its server closes');

  it('that is quiet gets our FIN, and a request after it is read, counted as late, and never seen by the program', async (t) => {
    const asked: string[] = [];
    await using server = await listenHttp((request, response) => {
      asked.push(request.url ?? '');
      response.end('served');
    });
    using client = await RawHttpClient.connect(portOf(server));
    client.send(get('/before'));
    await client.heard(/served$/);
    const close = gracefulClose(server, QUICK);
    assert.equal(await client.ended, 'EOF');
    client.send(get('/late'));
    await untilRead(server, client.socket);
    client.socket.end();
    const { outcome, connections } = await close;
    assert.deepEqual(asked, ['/before']);
    const { ended, lateRequests } = connections;
    assert.deepEqual({ outcome, ended, lateRequests }, { outcome: 'complete', ended: 1, lateRequests: 1 });
    // Not a reset: what came was read.
    assert.equal(client.socket.errored, null);
    late.held(t, { late: lateRequests });
  });

  it('control: that is quiet is ended by a plain close, and a request after that is reset', async (t) => {
    await using server = await listenHttp(answerWithPath);
    using client = await RawHttpClient.connect(portOf(server));
    client.send(get('/before'));
    await client.heard(/\/before$/);
    server.close();
    assert.equal(await client.ended, 'EOF');
    await new Promise((resolve) => client.socket.write(get('/late'), resolve));
    // Its reset has come; who has read the end hears of it when it writes again.
    client.socket.end(get('/late'));
    await until('the client is reset', () => client.socket.closed, 10_000);
    assert.notEqual(client.socket.errored, null);
    late.lost(t, 1);
  });

  it('whose next request lies in the receive buffer when it would be half-closed is served', async (t) => {
    await using server = await listenHttp(answerWithPath);
    using client = await RawHttpClient.connect(portOf(server));
    client.send(get('/before'));
    await client.heard(/\/before$/);
    // Longer than idleWait: by its last answer the connection has been quiet for long.
    await wait(250);
    client.send(get('/next'));
    await new Promise((resolve) => client.socket.write('', resolve));
    // It has arrived, and this turn has not read it yet.
    const close = gracefulClose(server, QUICK);
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.deepEqual(client.responses.at(-1), { body: '/next', close: true });
    assert.equal((await close).connections.lateRequests, 0);
    unread.held(t, { unread: 1 });
  });

  it('control: whose next request lies in the receive buffer is not served by a plain close', async (t) => {
    await using server = await listenHttp(answerWithPath);
    using client = await RawHttpClient.connect(portOf(server));
    client.send(get('/before'));
    await client.heard(/\/before$/);
    client.send(get('/next'));
    await new Promise((resolve) => client.socket.write('', resolve));
    server.close();
    await within('the end of the connection', client.ended);
    assert.equal(client.responses.length, 1);
    unread.lost(t, 1);
  });
});

describe('a request that is half sent', { concurrency: true }, () => {
  const proof = prove('a request that is half sent when its server closes');

  it('keeps its head time limit while the server closes, and is answered when it is whole', async (t) => {
    await using server = await listenHttp(answerWithPath);
    using client = await RawHttpClient.connect(portOf(server));
    client.send('GET /half HTTP/1.1\r\nHo');
    await untilRead(server, client.socket);
    const close = gracefulClose(server, QUICK);
    // Longer than idleWait, and a client that has sent half of its request is still not a quiet one.
    await wait(700);
    client.send('st: x\r\n\r\n');
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.deepEqual(client.responses, [{ body: '/half', close: true }]);
    assert.equal((await close).outcome, 'complete');
    proof.held(t, { 'half sent': 1 });
  });

  it('control: is not answered after the end of the process', async (t) => {
    await using server = await listenHttp(answerWithPath);
    using client = await RawHttpClient.connect(portOf(server));
    client.send('GET /half HTTP/1.1\r\nHo');
    await untilRead(server, client.socket);
    endAtOnce(server);
    client.send('st: x\r\n\r\n');
    await within('the end of the connection', client.ended);
    assert.equal(client.text, '');
    proof.lost(t, 1);
  });

  it('that stays half sent gets 408 when its time is up, and the close is complete', async () => {
    await using server = await listen(
      http.createServer({ headersTimeout: 300, requestTimeout: 300, connectionsCheckingInterval: 100 }),
    );
    using client = await RawHttpClient.connect(portOf(server));
    client.send('GET /half HTTP/1.1\r\nHo');
    await untilRead(server, client.socket);
    const close = gracefulClose(server, QUICK);
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.match(client.text, /^HTTP\/1\.1 408 /);
    const { outcome, connections } = await close;
    assert.deepEqual({ outcome, ended: connections.ended }, { outcome: 'complete', ended: 1 });
  });

  const expecting = prove('a request with Expect: 100-continue that is under way');
  const EXPECTING = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n';
  const answerBody: http.RequestListener = (request, response) => {
    request.resume().on('end', () => response.end('got it'));
  };

  it('with `Expect: 100-continue` is told to go on, and answered', async (t) => {
    await using server = await listenHttp(answerBody);
    using client = await RawHttpClient.connect(portOf(server));
    const close = gracefulClose(server, QUICK);
    client.send(EXPECTING);
    await client.heard(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
    client.send('body');
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.deepEqual(client.responses, [{ body: 'got it', close: true }]);
    assert.equal((await close).outcome, 'complete');
    expecting.held(t, { 'under way': 1 });
  });

  it('control: with `Expect: 100-continue` is not answered after the end of the process', async (t) => {
    await using server = await listenHttp(answerBody);
    using client = await RawHttpClient.connect(portOf(server));
    client.send(EXPECTING);
    await client.heard(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
    endAtOnce(server);
    await within('the end of the connection', client.ended);
    assert.deepEqual(client.responses, []);
    expecting.lost(t, 1);
  });

  it('and answered early gets its whole answer, while the rest of the body goes on to the program', async () => {
    let received = 0;
    await using server = await listenHttp((request, response) => {
      request.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      response.end('x'.repeat(20_000));
    });
    using client = await RawHttpClient.connect(portOf(server));
    const lingerWait = 700;
    const close = gracefulClose(server, { ...QUICK, lingerWait });
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n');
    await client.heard(/x{20000}$/);
    for (let part = 1; part <= 3; part++) {
      client.send('y'.repeat(100_000));
      await until(`${part} parts of the body have come`, () => received === part * 100_000);
      // Each pause is shorter than lingerWait, all of them are longer.
      await wait(lingerWait * 0.4);
    }
    client.socket.end();
    assert.equal(await client.ended, 'EOF');
    const { outcome, connections } = await close;
    assert.deepEqual({ outcome, lateRequests: connections.lateRequests }, { outcome: 'complete', lateRequests: 0 });
    assert.equal(received, 300_000);
  });
});

describe('a response that does not end by itself', () => {
  const startStream = async (scope: Scope): Promise<{ server: http.Server; client: RawHttpClient }> => {
    const streaming = await listenHttp((_, response) => {
      response.writeHead(200, { 'Content-Type': 'text/plain' });
      const timer = setInterval(() => response.write('data'), 20);
      response.on('close', () => setTimeout(() => clearInterval(timer), 100));
    });
    const server = scope.use(streaming);
    const client = scope.use(await RawHttpClient.connect(portOf(server)));
    client.send(get('/stream'));
    await client.heard(/data/);
    return { server, client };
  };

  it('is ended by the program from onDrain', async () => {
    await using scope = new Scope();
    const { server, client } = await startStream(scope);
    const asked: unknown[] = [];
    const close = gracefulClose(server, {
      ...QUICK,
      onDrain: ({ socket, protocol, response }, signal) => {
        asked.push({ protocol, isItsSocket: socket === response?.socket, isAborted: signal.aborted });
        response?.end('the end');
      },
    });
    assert.equal(await client.ended, 'EOF');
    client.socket.end();
    assert.match(client.text, /the end\r\n0\r\n\r\n$/);
    assert.deepEqual(asked, [{ protocol: 'http/1.1', isItsSocket: true, isAborted: false }]);
    assert.equal((await close).outcome, 'complete');
  });

  it('is cut at the deadline otherwise, and named', async () => {
    await using scope = new Scope();
    const { server, client } = await startStream(scope);
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
  for (const way of ['at once', 'later'] as const) {
    it(`${way} is in the report, and the close goes on`, async () => {
      const responses: http.ServerResponse[] = [];
      await using server = await listenHttp((_, response) => void responses.push(response));
      using client = await RawHttpClient.connect(portOf(server));
      client.send(get('/'));
      await once(server, 'request');
      let hasThrown = false;
      const fail = (): never => {
        hasThrown = true;
        throw new Error('no');
      };
      const onDrain = way === 'at once' ? fail : () => turn().then(fail);
      const close = gracefulClose(server, { ...QUICK, onDrain });
      await until('onDrain has thrown', () => hasThrown);
      responses[0]?.end('served');
      assert.equal(await client.ended, 'EOF');
      client.socket.end();
      const { outcome, errors } = await close;
      assert.equal(outcome, 'complete');
      assert.deepEqual(
        errors.map(({ code, message }) => ({ code, message })),
        [{ code: 'ERR_CALLBACK', message: '`onDrain` threw' }],
      );
    });
  }
});
