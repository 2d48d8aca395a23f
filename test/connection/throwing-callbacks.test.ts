import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { describe, it } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { Scope } from '../harness/scope.ts';
import { listen, listenHttp } from '../harness/servers.ts';
import { LineClient } from './line-client.ts';
import { get, RawHttpClient } from './raw-http-client.ts';

const OPTIONS = { idleWait: 300, lingerWait: 200, deadline: 8_000 };

function fail(): never {
  throw new Error('a mistake');
}

describe('what the program throws', { timeout: 180_000 }, () => {
  it('from the close of a WebSocket is in the report, and the other connections end as ever', async () => {
    await using scope = new Scope();
    await using server = await listenHttp();
    const webSockets = new WebSocketServer({ server });
    const throwing = await open();
    for (const client of webSockets.clients) client.close = fail;
    const other = await open();
    const closed = Promise.all([throwing, other].map((client) => once(client, 'close')));
    const report = await gracefulClose(server, { ...OPTIONS, webSockets });
    assert.deepEqual(
      (await closed).map(([code]) => code),
      [1006, 1001],
    );
    const { ended, farewells } = report.connections;
    assert.deepEqual(
      { outcome: report.outcome, ended, answered: farewells.answered },
      { outcome: 'complete', ended: 2, answered: 1 },
    );
    assert.deepEqual(
      report.errors.map(({ code, message }) => ({ code, message })),
      [{ code: 'ERR_CALLBACK', message: '`webSockets` threw' }],
    );

    async function open(): Promise<WebSocket> {
      const client = new WebSocket(`ws://127.0.0.1:${portOf(server)}`);
      scope.defer(() => client.terminate());
      await once(client, 'open');
      return client;
    }
  });

  it('from farewell.answered is in the report, and is no answer: the connection goes on until it is quiet', async () => {
    await using server = await listen(net.createServer((socket) => socket.pipe(socket)));
    using client = new LineClient(portOf(server));
    assert.equal(await client.ask('before'), 'before');
    const closing = gracefulClose(server, {
      ...OPTIONS,
      farewell: { say: () => Buffer.from('closing\n'), answered: fail },
    });
    assert.equal(await client.next(), 'closing');
    for (const line of ['one', 'two', 'three']) assert.equal(await client.ask(line), line);
    assert.equal(await client.next(), undefined);
    const { outcome, connections, errors } = await closing;
    assert.deepEqual(
      { outcome, farewells: connections.farewells },
      { outcome: 'complete', farewells: { said: 1, answered: 0, unanswered: 1 } },
    );
    assert.deepEqual(
      errors.map(({ code, message }) => ({ code, message })),
      [{ code: 'ERR_CALLBACK', message: '`farewell.answered` threw' }],
    );
  });

  it('from an async eventStreams does not end the program, and is in the report', async () => {
    await using server = await listenHttp((_, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: 1\n\n');
    });
    using client = await RawHttpClient.connect(portOf(server));
    client.send(get('/'));
    await client.heard(/data: 1/);
    // In JavaScript nothing keeps it from being one.
    const answer: () => unknown = async () => fail();
    const eventStreams = answer as () => boolean;
    const { connections, errors } = await gracefulClose(server, { ...OPTIONS, deadline: 1_000, eventStreams });
    assert.deepEqual({ ended: connections.eventStreams, cut: connections.cut.length }, { ended: 0, cut: 1 });
    assert.deepEqual(
      errors.map(({ code, message }) => ({ code, message })),
      [{ code: 'ERR_CALLBACK', message: '`eventStreams` threw' }],
    );
  });

  it('from a method of its own in the place of one of ours is in the report once, and the others end as ever', async () => {
    const warnings: string[] = [];
    const onWarning = ({ message }: Error): void => void warnings.push(message);
    process.on('warning', onWarning);
    using _ = { [Symbol.dispose]: () => process.off('warning', onWarning) };
    await using server = await listen(
      http.createServer((request, response) => {
        if (request.url === '/') {
          response.end('served');
          return;
        }
        response.writeHead(200, { 'Content-Type': 'text/event-stream' });
        response.write('data: 1\n\n');
        Object.defineProperty(response, 'writableLength', { get: fail });
      }),
    );
    using stream = await RawHttpClient.connect(portOf(server));
    using other = await RawHttpClient.connect(portOf(server));
    stream.send(get('/stream'));
    other.send(get('/'));
    await Promise.all([stream.heard(/data: 1/), other.heard(/served$/)]);
    other.socket.on('end', () => other.socket.end());
    const options = { ...OPTIONS, deadline: 1_500, eventStreams: 'all' } as const;
    const { outcome, connections, errors } = await gracefulClose(server, options);
    assert.deepEqual(
      { outcome, ended: connections.ended, cut: connections.cut.length },
      { outcome: 'forced', ended: 1, cut: 1 },
    );
    assert.deepEqual(
      errors.map(({ code, message }) => ({ code, message })),
      [{ code: 'ERR_CALLBACK', message: '`a method of a connection` threw' }],
    );
    assert.deepEqual(warnings, []);
  });
});
