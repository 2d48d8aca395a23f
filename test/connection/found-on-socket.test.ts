import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { suite, test } from 'node:test';
import tls from 'node:tls';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms } from '../harness/needs.ts';
import { observeFixture } from '../harness/observed-program.ts';
import { portOf } from '../harness/ports.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { until } from '../harness/wait.ts';
import { get, RawHttpClient } from './raw-http-client.ts';

const OPTIONS: CloseOptions = { idleWait: 200, lingerWait: 500, deadline: 20_000 };
const skip = needsPrograms('openssl');

suite('a server behind a Proxy', { timeout: 60_000 }, () => {
  for (const { title, listensAs, closesAs } of [
    { title: 'that listens and is closed as the Proxy', listensAs: 'proxy', closesAs: 'proxy' },
    { title: 'that is closed as the Proxy', listensAs: 'server', closesAs: 'proxy' },
    { title: 'that listens as the Proxy', listensAs: 'proxy', closesAs: 'server' },
  ] as const) {
    test(`${title} has its request answered, and the client is told`, async () => {
      await using scope = new Scope();
      const came = new EventEmitter();
      const server = http.createServer((_, response) => void came.emit('request', response));
      const as = { server, proxy: new Proxy(server, {}) };
      scope.use(await listen(as[listensAs]));
      const client = scope.use(await RawHttpClient.connect(portOf(server)));
      client.endAfterServer();
      client.send(get('/'));
      const [response]: http.ServerResponse[] = await once(came, 'request');
      const closing = gracefulClose(as[closesAs], OPTIONS);
      response?.end('answered');
      await client.ended;
      assert.deepEqual(client.responses, [{ body: 'answered', close: true }]);
      const { outcome, connections } = await closing;
      assert.deepEqual(
        { outcome, atStart: connections.atStart, said: connections.farewells.said },
        { outcome: 'complete', atStart: 1, said: 1 },
      );
    });
  }
});

test('TLS that is older than the import of lastcall is not half-closed for being quiet, and is in the report', {
  skip,
}, async () => {
  await using scope = new Scope();
  const { cert, key } = makeCertificate();
  const program = scope.use(observeFixture('connection/tls-before-import', { args: [String(cert), String(key)] }));
  const { port = 0 } = await program.next('listening');
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  scope.defer(() => client.destroy());
  const errors: unknown[] = [];
  client.on('error', (error) => errors.push(error));
  client.write('first');
  await once(client, 'data');
  const witness = scope.use(await RawHttpClient.connect(port));
  witness.endAfterServer();
  witness.send('raw');
  await program.next('raw');
  process.kill(program.pid, 'SIGUSR2');
  assert.equal(await witness.ended, 'EOF');
  client.write('later');
  assert.equal(String((await once(client, 'data'))[0]), 'later');
  const { report } = await program.next('closed');
  const cut = report?.connections.cut.map(({ protocol, reason }) => ({ protocol, reason }));
  assert.deepEqual(
    { outcome: report?.outcome, cut },
    { outcome: 'forced', cut: [{ protocol: 'raw', reason: 'deadline' }] },
  );
});

test('TLS inside TLS is seen to its end', { skip }, async () => {
  await using scope = new Scope();
  const came = new EventEmitter();
  const behind = http.createServer((_, response) => void came.emit('request', response));
  const certificate = makeCertificate();
  const front = tls.createServer(certificate, (outer) => {
    behind.emit('connection', new tls.TLSSocket(outer, { ...certificate, isServer: true }));
  });
  scope.use(await listen(front));
  const outer = tls.connect({ port: portOf(front), host: '127.0.0.1', rejectUnauthorized: false });
  scope.defer(() => outer.destroy());
  const client = tls.connect({ socket: outer, rejectUnauthorized: false });
  client.write(get('/'));
  const [response]: http.ServerResponse[] = await once(came, 'request');
  const witness = scope.use(await RawHttpClient.connect(portOf(front)));
  witness.endAfterServer();
  const closing = gracefulClose(front, OPTIONS);
  assert.equal(await witness.ended, 'EOF');
  response?.end('answered');
  let text = '';
  for await (const chunk of client) text += String(chunk);
  assert.match(text, /^connection: close\r\n[^]*\r\n\r\nanswered$/im);
  assert.equal((await closing).outcome, 'complete');
});

test('a WebSocket at a server that was handed its connection before the close gets its Close', async () => {
  await using scope = new Scope();
  const behind = http.createServer();
  behind.on('upgrade', (request: http.IncomingMessage, socket: net.Socket) => {
    const key = String(request.headers['sec-websocket-key']);
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.resume().on('end', () => socket.end());
  });
  const front = net.createServer((socket) => void behind.emit('connection', socket));
  scope.use(await listen(front));
  const client = scope.use(await RawHttpClient.connect(portOf(front)));
  client.endAfterServer();
  client.send(
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  );
  await client.heard(/ 101 /);
  const closing = gracefulClose(front, OPTIONS);
  // 1001, going away.
  await until('the Close has come', () => client.text.includes('\x03\xe9'));
  client.socket.end();
  const { outcome, connections } = await closing;
  assert.deepEqual({ outcome, said: connections.farewells.said }, { outcome: 'complete', said: 1 });
});
