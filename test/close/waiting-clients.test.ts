import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import tls from 'node:tls';
import { gracefulClose } from '../../src/index.ts';
import { certificateMissing, makeCertificate } from '../harness/certificate.ts';
import { portOf, SOON, startServer } from './calls-servers.ts';

/** Quiet connections have had their time when the server has ended this one, which came last. */
async function startIdle(t: TestContext, socket: net.Socket): Promise<{ ended: Promise<unknown> }> {
  t.after(() => socket.destroy());
  await once(socket, socket instanceof tls.TLSSocket ? 'secureConnect' : 'connect');
  return { ended: once(socket.resume(), 'end') };
}

async function textOf(socket: net.Socket): Promise<string> {
  let text = '';
  for await (const bytes of socket) text += String(bytes);
  return text;
}

describe('a client that waits for longer than quiet connections are left alone', () => {
  it('for its TLS handshake is served', { skip: certificateMissing }, async (t) => {
    const certificate = makeCertificate();
    const context = tls.createSecureContext(certificate);
    const asked: ((error: Error | null, context: tls.SecureContext) => void)[] = [];
    const options: tls.TlsOptions = { ...certificate, SNICallback: (_, answer) => asked.push(answer) };
    const server = await startServer(
      t,
      tls.createServer(options, (socket) => socket.on('error', () => {}).end('served')),
    );
    // Without a name nobody asks for a certificate: this one is idle at once.
    const target = { port: portOf(server), host: '127.0.0.1', rejectUnauthorized: false };
    server.on('connection', (socket) => socket.on('error', () => {}));
    const waiting = tls.connect({ ...target, servername: 'example.org' });
    t.after(() => waiting.destroy());
    const text = textOf(waiting).catch((error: NodeJS.ErrnoException) => error.code);
    await until(t, () => asked.length === 1);
    const silent = await startIdle(t, net.connect(portOf(server), '127.0.0.1'));
    const close = gracefulClose(server, SOON);
    await silent.ended;
    asked[0]?.(null, context);
    assert.equal(await text, 'served');
    assert.equal((await close).outcome, 'complete');
  });

  it('for the answer to its upgrade gets it', async (t) => {
    const server = await startServer(t, http.createServer());
    const upgraded = once(server, 'upgrade');
    const client = ask(t, server, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
    const [, socket] = await upgraded;
    const idle = await startIdle(t, net.connect(portOf(server), '127.0.0.1'));
    const close = gracefulClose(server, SOON);
    await idle.ended;
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nserved');
    assert.match(await textOf(client), /^HTTP\/1\.1 101 .*served$/s);
    assert.equal((await close).outcome, 'complete');
  });

  it('for the answer to what it said before its own end gets it', async (t) => {
    const server = await startServer(t, net.createServer({ allowHalfOpen: true }));
    const accepted = once(server, 'connection');
    const client = net.connect({ port: portOf(server), host: '127.0.0.1', allowHalfOpen: true });
    t.after(() => client.destroy());
    client.end('a question');
    const [socket]: net.Socket[] = await accepted;
    assert(socket);
    await once(socket.resume(), 'end');
    const idle = await startIdle(t, net.connect(portOf(server), '127.0.0.1'));
    const close = gracefulClose(server, SOON);
    await idle.ended;
    socket.end('served');
    assert.equal(await textOf(client), 'served');
    assert.equal((await close).outcome, 'complete');
  });
});

describe('a client that never says a word', { skip: certificateMissing }, () => {
  for (const { kind, create } of [
    { kind: 'a tls server', create: () => tls.createServer(makeCertificate()) },
    { kind: 'an https server', create: () => https.createServer(makeCertificate()) },
    { kind: 'an http server', create: () => http.createServer() },
  ]) {
    it(`does not hold ${kind} up to its deadline`, async (t) => {
      const server = await startServer(t, create());
      server.on('connection', (socket) => socket.on('error', () => {}));
      const accepted = once(server, 'connection');
      const silent = await startIdle(t, net.connect(portOf(server), '127.0.0.1'));
      await accepted;
      const { outcome, connections } = await gracefulClose(server, { ...SOON, deadline: 30_000 });
      assert.deepEqual([outcome, connections.ended, connections.cut], ['complete', 1, []]);
      await silent.ended;
    });
  }
});

describe('a tunnel', () => {
  it('that is quiet is half-closed, and the program keeps getting what the client sends', async (t) => {
    const server = await startServer(t, http.createServer());
    const connected = once(server, 'connect');
    const client = net.connect({ port: portOf(server), host: '127.0.0.1', allowHalfOpen: true });
    t.after(() => client.destroy());
    client.write('CONNECT example.org:1 HTTP/1.1\r\nHost: example.org:1\r\n\r\n');
    const [, socket]: [unknown, net.Socket] = (await connected) as never;
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const heard = once(socket, 'data');
    await once(client, 'data');
    const close = gracefulClose(server, { idleWait: 50, lingerWait: 10_000 });
    await once(client.resume(), 'end');
    client.end('the last word');
    assert.equal(String((await heard)[0]), 'the last word');
    assert.deepEqual([(await close).outcome, (await close).connections.lateRequests], ['complete', 0]);
  });
});

describe('an HTTP/2 client that ignores GOAWAY and the end of the connection', () => {
  it('does not hold the close up to its deadline', async (t) => {
    const server = await startServer(t, http2.createServer());
    const began = once(server, 'session');
    const client = net.connect({ port: portOf(server), host: '127.0.0.1', allowHalfOpen: true });
    t.after(() => client.destroy());
    // The connection preface and empty SETTINGS (RFC 9113 3.4), and never another word.
    client.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    client.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    client.resume();
    await began;
    const { outcome, connections } = await gracefulClose(server, { ...SOON, deadline: 30_000 });
    assert.deepEqual([outcome, connections.ended, connections.cut], ['complete', 1, []]);
  });
});

function ask(t: TestContext, server: net.Server, request: string): net.Socket {
  const client = net.connect(portOf(server), '127.0.0.1');
  t.after(() => client.destroy());
  client.write(request);
  return client;
}

async function until(t: TestContext, isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    t.signal.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
