import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { suite, test } from 'node:test';
import tls from 'node:tls';
import { type CloseOptions, type CloseReport, gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms } from '../harness/needs.ts';
import { observeFixture } from '../harness/observed-program.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { until } from '../harness/wait.ts';
import { get, RawHttpClient } from './raw-http-client.ts';

const OPTIONS: CloseOptions = { idleWait: 200, lingerWait: 500, deadline: 20_000 };
const skip = needsPrograms('openssl');
/** The code of a WebSocket's Close: 1001, going away (RFC 6455 7.4.1). */
const GOING_AWAY = '\x03\xe9';

type How = 'graceful' | 'plain';

/** Closes by lastcall; or as a program does that calls `close()` and ends, which closes its connections. Undefined then. */
async function close(
  server: net.Server,
  how: How,
  accepted: ReadonlySet<net.Socket>,
): Promise<CloseReport | undefined> {
  if (how === 'graceful') return gracefulClose(server, OPTIONS);
  server.close();
  for (const socket of accepted) socket.destroy();
  return undefined;
}

/** The connections of a server, from now on. */
function acceptedBy(server: net.Server): ReadonlySet<net.Socket> {
  const accepted = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => accepted.add(socket));
  return accepted;
}

suite('a server behind a Proxy', { timeout: 60_000 }, () => {
  const proof = prove('the request of a server behind a Proxy');

  test('control: a plain close and the end of the program lose its request', async (t) => {
    await using scope = new Scope();
    const came = new EventEmitter();
    const server = http.createServer((_, response) => void came.emit('request', response));
    const accepted = acceptedBy(server);
    scope.use(await listen(new Proxy(server, {})));
    const client = scope.use(await RawHttpClient.connect(portOf(server)));
    client.send(get('/'));
    const [response]: http.ServerResponse[] = await once(came, 'request');
    await close(server, 'plain', accepted);
    response?.end('answered');
    await client.ended;
    assert.deepEqual(client.responses, []);
    proof.lost(t, 1);
  });

  for (const { title, listensAs, closesAs } of [
    { title: 'that listens and is closed as the Proxy', listensAs: 'proxy', closesAs: 'proxy' },
    { title: 'that is closed as the Proxy', listensAs: 'server', closesAs: 'proxy' },
    { title: 'that listens as the Proxy', listensAs: 'proxy', closesAs: 'server' },
  ] as const) {
    test(`${title} has its request answered, and the client is told`, async (t) => {
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
      proof.held(t, { open: connections.atStart });
    });
  }
});

const tlsProof = prove('a quiet client under TLS that is older than the import of lastcall');

test('TLS that is older than the import of lastcall is not half-closed for being quiet, and is in the report; control: a raw one is', {
  skip,
}, async (t) => {
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
  tlsProof.held(t, { open: 1 });
  tlsProof.lost(t, 1);
});

suite('TLS inside TLS', { skip }, () => {
  const proof = prove('a request over TLS inside TLS');

  async function stop(how: How) {
    await using scope = new Scope();
    const came = new EventEmitter();
    const behind = http.createServer((_, response) => void came.emit('request', response));
    const certificate = makeCertificate();
    const front = tls.createServer(certificate, (outer) => {
      behind.emit('connection', new tls.TLSSocket(outer, { ...certificate, isServer: true }));
    });
    const accepted = acceptedBy(front);
    scope.use(await listen(front));
    const outer = tls.connect({ port: portOf(front), host: '127.0.0.1', rejectUnauthorized: false });
    scope.defer(() => outer.destroy());
    const client = tls.connect({ socket: outer, rejectUnauthorized: false });
    for (const one of [outer, client]) one.on('error', () => {});
    client.write(get('/'));
    const [response]: http.ServerResponse[] = await once(came, 'request');
    const witness = scope.use(await RawHttpClient.connect(portOf(front)));
    witness.endAfterServer();
    const closing = close(front, how, accepted);
    await witness.ended;
    response?.end('answered');
    let text = '';
    client.on('data', (chunk) => (text += String(chunk)));
    if (!client.closed) await once(client, 'close');
    return { text, witness: await witness.ended, report: await closing };
  }

  test('is seen to its end', async (t) => {
    const { text, witness, report } = await stop('graceful');
    assert.equal(witness, 'EOF');
    assert.match(text, /^connection: close\r\n[^]*\r\n\r\nanswered$/im);
    assert.equal(report?.outcome, 'complete');
    proof.held(t, { open: report.connections.atStart });
  });

  test('control: is cut by a plain close and the end of the program', async (t) => {
    const { text } = await stop('plain');
    assert.equal(text, '');
    proof.lost(t, 1);
  });
});

suite('a WebSocket at a server that was handed its connection before the close', () => {
  const proof = prove('the Close of a WebSocket whose connection was handed over');

  async function stop(how: How) {
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
    const accepted = acceptedBy(front);
    scope.use(await listen(front));
    const client = scope.use(await RawHttpClient.connect(portOf(front)));
    client.endAfterServer();
    client.send(
      'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    await client.heard(/ 101 /);
    const closing = close(front, how, accepted);
    if (how === 'graceful') await until('the Close has come', () => client.text.includes(GOING_AWAY));
    else await client.ended;
    client.socket.end();
    return { hasClose: client.text.includes(GOING_AWAY), report: await closing };
  }

  test('gets its Close', async (t) => {
    const { report } = await stop('graceful');
    const { outcome, connections } = report ?? {};
    assert.deepEqual({ outcome, said: connections?.farewells.said }, { outcome: 'complete', said: 1 });
    proof.held(t, { open: connections?.atStart });
  });

  test('control: gets none by a plain close and the end of the program', async (t) => {
    const { hasClose } = await stop('plain');
    assert.equal(hasClose, false);
    proof.lost(t, 1);
  });
});
