import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms } from '../harness/needs.ts';
import { portOf } from '../harness/ports.ts';
import { listen } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';
import { SOON } from './calls-servers.ts';

/** Connects to a server on loopback. For `using`. */
function connect(server: net.Server, options: Partial<net.TcpNetConnectOpts> = {}): net.Socket & Disposable {
  return disposable(net.connect({ port: portOf(server), host: '127.0.0.1', ...options }));
}

function disposable<S extends net.Socket>(socket: S): S & Disposable {
  return Object.assign(socket, { [Symbol.dispose]: () => void socket.destroy() });
}

/** Quiet connections have had their time when the server has ended this one, which came last. */
async function untilIdle(socket: net.Socket): Promise<{ ended: Promise<unknown> }> {
  await once(socket, 'connect');
  return { ended: within('the end of the idle connection', once(socket.resume(), 'end')) };
}

async function textOf(socket: net.Socket): Promise<string> {
  let text = '';
  for await (const bytes of socket) text += String(bytes);
  return text;
}

describe('a client that waits for longer than quiet connections are left alone', () => {
  it('for its TLS handshake is served', { skip: needsPrograms('openssl') }, async () => {
    const certificate = makeCertificate();
    const context = tls.createSecureContext(certificate);
    const asked: ((error: Error | null, context: tls.SecureContext) => void)[] = [];
    const options: tls.TlsOptions = { ...certificate, SNICallback: (_, answer) => asked.push(answer) };
    await using server = await listen(
      tls.createServer(options, (socket) => socket.on('error', () => {}).end('served')),
    );
    // Without a name nobody asks for a certificate: this one is idle at once.
    const target = { port: portOf(server), host: '127.0.0.1', rejectUnauthorized: false };
    server.on('connection', (socket) => socket.on('error', () => {}));
    using waiting = disposable(tls.connect({ ...target, servername: 'example.org' }));
    const text = textOf(waiting).catch((error: NodeJS.ErrnoException) => error.code);
    await until('the server asks for a certificate', () => asked.length === 1);
    using silentSocket = connect(server);
    const silent = await untilIdle(silentSocket);
    const close = gracefulClose(server, SOON);
    await silent.ended;
    asked[0]?.(null, context);
    assert.equal(await text, 'served');
    assert.equal((await close).outcome, 'complete');
  });

  it('for the answer to its upgrade gets it', async () => {
    await using server = await listen(http.createServer());
    const upgraded = once(server, 'upgrade');
    using client = ask(server, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
    const [, socket] = await upgraded;
    using idleSocket = connect(server);
    const idle = await untilIdle(idleSocket);
    const close = gracefulClose(server, SOON);
    await idle.ended;
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nserved');
    assert.match(await textOf(client), /^HTTP\/1\.1 101 .*served$/s);
    assert.equal((await close).outcome, 'complete');
  });

  it('for the answer to what it said before its own end gets it', async () => {
    await using server = await listen(net.createServer({ allowHalfOpen: true }));
    const accepted = once(server, 'connection');
    using client = connect(server, { allowHalfOpen: true });
    client.end('a question');
    const [socket]: net.Socket[] = await accepted;
    assert(socket);
    await once(socket.resume(), 'end');
    using idleSocket = connect(server);
    const idle = await untilIdle(idleSocket);
    const close = gracefulClose(server, SOON);
    await idle.ended;
    socket.end('served');
    assert.equal(await textOf(client), 'served');
    assert.equal((await close).outcome, 'complete');
  });
});

describe('a client that never says a word', { skip: needsPrograms('openssl') }, () => {
  for (const { kind, create } of [
    { kind: 'a tls server', create: () => tls.createServer(makeCertificate()) },
    { kind: 'an https server', create: () => https.createServer(makeCertificate()) },
    { kind: 'an http server', create: () => http.createServer() },
  ]) {
    it(`does not hold ${kind} up to its deadline`, async () => {
      await using server = await listen(create());
      server.on('connection', (socket) => socket.on('error', () => {}));
      const accepted = once(server, 'connection');
      using silentSocket = connect(server);
      const silent = await untilIdle(silentSocket);
      await accepted;
      const { outcome, connections } = await gracefulClose(server, { ...SOON, deadline: 30_000 });
      const { ended, cut } = connections;
      assert.deepEqual({ outcome, ended, cut }, { outcome: 'complete', ended: 1, cut: [] });
      await silent.ended;
    });
  }
});

describe('a tunnel', () => {
  it('that is quiet is half-closed, and the program keeps getting what the client sends', async () => {
    await using server = await listen(http.createServer());
    const connected = once(server, 'connect');
    using client = connect(server, { allowHalfOpen: true });
    client.write('CONNECT example.org:1 HTTP/1.1\r\nHost: example.org:1\r\n\r\n');
    const [, socket]: [unknown, net.Socket] = (await connected) as never;
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const heard = once(socket, 'data');
    await once(client, 'data');
    const close = gracefulClose(server, { idleWait: 50, lingerWait: 10_000 });
    await once(client.resume(), 'end');
    client.end('the last word');
    assert.equal(String((await heard)[0]), 'the last word');
    const { outcome, connections } = await close;
    const { lateRequests } = connections;
    assert.deepEqual({ outcome, lateRequests }, { outcome: 'complete', lateRequests: 0 });
  });
});

describe('an HTTP/2 client that ignores GOAWAY and the end of the connection', () => {
  it('does not hold the close up to its deadline', async () => {
    await using server = await listen(http2.createServer());
    const began = once(server, 'session');
    using client = connect(server, { allowHalfOpen: true });
    // The connection preface and empty SETTINGS (RFC 9113 3.4), and never another word.
    client.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    client.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    client.resume();
    await began;
    const { outcome, connections } = await gracefulClose(server, { ...SOON, deadline: 30_000 });
    const { ended, cut } = connections;
    assert.deepEqual({ outcome, ended, cut }, { outcome: 'complete', ended: 1, cut: [] });
  });
});

function ask(server: net.Server, request: string): net.Socket & Disposable {
  const client = connect(server);
  client.write(request);
  return client;
}
