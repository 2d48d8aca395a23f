import assert from 'node:assert/strict';
import { once } from 'node:events';
import type net from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { listenHttp } from '../harness/servers.ts';
import { get, RawHttpClient } from './raw-http-client.ts';

const IDLE_WAIT = 200;
const OPTIONS: CloseOptions = {
  idleWait: IDLE_WAIT,
  lingerWait: 200,
  deadline: 8_000,
  farewell: { say: () => Buffer.from('closing\n') },
};

const ANSWER = 'HTTP/1.1 101 Switching Protocols\r\n\r\n';

const asking = (upgrade: string): string =>
  get('/').replace(/\r\n$/, `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`);

describe('a request that changes what a connection speaks', { timeout: 180_000, concurrency: true }, () => {
  for (const { what, request, event, farewell } of [
    { what: 'for a WebSocket', request: asking('websocket'), event: 'upgrade', farewell: '\x88\x02\x03\xe9' },
    { what: 'for another protocol', request: asking('lines'), event: 'upgrade', farewell: 'closing\n' },
    {
      what: 'for a tunnel',
      request: 'CONNECT x:7 HTTP/1.1\r\nHost: x:7\r\n\r\n',
      event: 'connect',
      farewell: 'closing\n',
    },
  ] as const) {
    for (const before of ['first on its connection', 'on a connection that was kept'] as const) {
      it(`${what}, ${before}, is answered before its farewell, after however long`, async () => {
        await using server = await listenHttp();
        const asked = once(server, event);
        server.on(event, () => {});
        using client = await RawHttpClient.connect(portOf(server));
        client.socket.on('end', () => client.socket.end());
        if (before === 'on a connection that was kept') {
          client.send(get('/'));
          await client.heard(/served$/);
        }
        const kept = client.text;
        client.send(request);
        const [, socket] = (await asked) as [unknown, net.Socket];
        const closing = gracefulClose(server, OPTIONS);
        // Time is what is tested: this is long after the close would have ended a quiet one.
        await wait(3 * IDLE_WAIT);
        assert.equal(client.text, kept);
        socket.write(ANSWER);
        assert.equal(await client.ended, 'EOF');
        assert.equal(client.text, kept + ANSWER + farewell);
        const { outcome, connections } = await closing;
        assert.deepEqual({ outcome, said: connections.farewells.said }, { outcome: 'complete', said: 1 });
      });
    }
  }
});
