import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { describe, it } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { gracefulClose } from '../../src/index.ts';
import { portOf, startHttp, startServer } from '../close/calls-servers.ts';
import { LineClient } from './line-client.ts';
import { get, RawHttpClient } from './raw-http-client.ts';

const OPTIONS = { idleWait: 300, lingerWait: 200, deadline: 8_000 };

function fail(): never {
  throw new Error('a mistake');
}

describe('what the program throws', { timeout: 30_000 }, () => {
  it('from the close of a WebSocket is in the report, and the other connections end as ever', async (t) => {
    const server = await startHttp(t);
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
    assert.deepEqual(
      [report.outcome, report.connections.ended, report.connections.farewells.answered],
      ['complete', 2, 1],
    );
    assert.deepEqual(
      report.errors.map(({ code, message }) => [code, message]),
      [['ERR_CALLBACK', '`webSockets` threw']],
    );

    async function open(): Promise<WebSocket> {
      const client = new WebSocket(`ws://127.0.0.1:${portOf(server)}`);
      t.after(() => client.terminate());
      await once(client, 'open');
      return client;
    }
  });

  it('from farewell.answered is in the report, and is no answer: the connection goes on until it is quiet', async (t) => {
    const server = await startServer(
      t,
      net.createServer((socket) => socket.pipe(socket)),
    );
    const client = new LineClient(portOf(server));
    t.after(() => client.socket.destroy());
    assert.equal(await client.ask('before'), 'before');
    const closing = gracefulClose(server, {
      ...OPTIONS,
      farewell: { say: () => Buffer.from('closing\n'), answered: fail },
    });
    assert.equal(await client.next(), 'closing');
    for (const line of ['one', 'two', 'three']) assert.equal(await client.ask(line), line);
    assert.equal(await client.next(), undefined);
    const { outcome, connections, errors } = await closing;
    assert.deepEqual([outcome, connections.farewells], ['complete', { said: 1, answered: 0, unanswered: 1 }]);
    assert.deepEqual(
      errors.map(({ code, message }) => [code, message]),
      [['ERR_CALLBACK', '`farewell.answered` threw']],
    );
  });

  it('from a method of its own in the place of one of ours is in the report once, and the others end as ever', async (t) => {
    const server = await startServer(
      t,
      http.createServer((request, response) => {
        if (request.url === '/') {
          response.end('served');
          return;
        }
        response.writeHead(200, { 'Content-Type': 'text/event-stream' });
        response.write('data: 1\n\n');
        Object.assign(response, { end: fail });
      }),
    );
    const [stream, other] = [
      await RawHttpClient.connect(t, portOf(server)),
      await RawHttpClient.connect(t, portOf(server)),
    ];
    stream.send(get('/stream'));
    other.send(get('/'));
    await Promise.all([stream.heard(/data: 1/), other.heard(/served$/)]);
    other.socket.on('end', () => other.socket.end());
    const { outcome, connections, errors } = await gracefulClose(server, { ...OPTIONS, deadline: 1_500 });
    assert.deepEqual([outcome, connections.ended, connections.cut.length], ['forced', 1, 1]);
    assert.deepEqual(
      errors.map(({ code, message }) => [code, message]),
      [['ERR_CALLBACK', '`a method of a connection` threw']],
    );
  });
});
