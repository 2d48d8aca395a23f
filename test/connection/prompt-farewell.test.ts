import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms } from '../harness/needs.ts';
import { portOf } from '../harness/ports.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { until } from '../harness/wait.ts';
import { LineClient } from './line-client.ts';

const OPTIONS = { idleWait: 300, lingerWait: 200 } as const;

/** Far below the 13 s that a handshake is given. */
const PROMPT = 5_000;

describe('a client whose TLS handshake was under way, and is done', {
  timeout: 180_000,
  skip: needsPrograms('openssl'),
}, () => {
  it('gets its GOAWAY after its first stream', async () => {
    await using scope = new Scope();
    const { options, asked, finish } = slowCertificate();
    await using server = await listen(http2.createSecureServer(options, (_, response) => void response.end('served')));
    const session = http2.connect(`https://localhost:${portOf(server)}`, {
      createConnection: () => connectTls(scope, server, 'h2'),
    });
    scope.defer(() => session.destroy());
    await asked();
    const closing = gracefulClose(server, OPTIONS);
    await roundOfLooks();
    finish();
    const request = session.request({ ':path': '/' });
    const goaway = once(session, 'goaway');
    request.setEncoding('utf8');
    let text = '';
    for await (const chunk of request) text += String(chunk);
    assert.equal(text, 'served');
    await goaway;
    const { outcome, duration } = await closing;
    assert.equal(outcome, 'complete');
    assert(duration < PROMPT, `${duration} ms`);
  });

  it('and that asks nothing is ended after idleWait', async () => {
    await using scope = new Scope();
    const { options, asked, finish } = slowCertificate();
    await using server = await listen(https.createServer(options));
    const client = connectTls(scope, server, 'http/1.1').resume();
    await asked();
    const closing = gracefulClose(server, OPTIONS);
    await roundOfLooks();
    finish();
    await once(client, 'end');
    const { outcome, duration } = await closing;
    assert.equal(outcome, 'complete');
    assert(duration < PROMPT, `${duration} ms`);
  });
});

describe('farewell.say', { timeout: 180_000 }, () => {
  it('is asked again, long before idleWait, while it has nothing to say', async () => {
    await using server = await listen(net.createServer((socket) => socket.pipe(socket)));
    using client = new LineClient(portOf(server));
    assert.equal(await client.ask('before'), 'before');
    let asked = 0;
    const idleWait = 3_000;
    const { duration } = await gracefulClose(server, {
      idleWait,
      lingerWait: 200,
      farewell: { say: () => (++asked > 5 ? Buffer.from('closing\n') : undefined), answered: () => true },
      onProgress: () => void client.socket.write('line\n'),
    });
    assert.equal(asked, 6);
    assert(duration < idleWait, `${duration} ms`);
  });
});

/** A certificate that is not there before `finish`. */
function slowCertificate(): { options: tls.TlsOptions; asked: () => Promise<void>; finish: () => void } {
  const waiting: (() => void)[] = [];
  return {
    options: {
      ...makeCertificate(),
      ALPNProtocols: ['h2', 'http/1.1'],
      SNICallback: (_, done) => void waiting.push(() => done(null)),
    },
    asked: () => until('the handshake waits for its certificate', () => waiting.length > 0),
    finish: () => {
      for (const go of waiting) go();
    },
  };
}

function connectTls(scope: Scope, server: net.Server, protocol: string): tls.TLSSocket {
  const client = tls.connect({
    port: portOf(server),
    servername: 'localhost',
    rejectUnauthorized: false,
    ALPNProtocols: [protocol],
  });
  scope.defer(() => client.destroy());
  return client;
}

/** A close looks at every connection in the turn in which it is called. */
function roundOfLooks(): Promise<void> {
  return new Promise(setImmediate);
}
