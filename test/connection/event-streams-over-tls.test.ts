import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms } from '../harness/needs.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { until } from '../harness/wait.ts';

const OPTIONS: CloseOptions = { idleWait: 150, lingerWait: 1_000, deadline: 8_000 };
/** Long after the close would have ended an event stream that it ends, in ms. */
const LONG = 600;

const POST = 'POST /chat HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nContent-Length: 0\r\n\r\n';
const EVENT_SOURCE = 'GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n';

suite('an event stream over TLS', { skip: needsPrograms('openssl'), timeout: 60_000 }, () => {
  const proof = prove('an event stream over TLS that answers a POST');

  async function closeDuring(scope: Scope, request: string, options: CloseOptions = {}) {
    const server = scope.use(await listen(https.createServer(makeCertificate())));
    const requested = once(server, 'request');
    const client = tls.connect({ port: portOf(server), host: '127.0.0.1', rejectUnauthorized: false });
    scope.defer(() => client.destroy());
    let text = '';
    client.setEncoding('latin1').on('data', (piece: string) => (text += piece));
    const ended = new Promise<string>((resolve) => {
      client.once('end', () => resolve('EOF')).once('error', ({ message }) => resolve(message));
    });
    client.write(request);
    const [, response] = await requested;
    assert(response instanceof http.ServerResponse);
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n');
    await until('the first event has come', () => text.includes('data: 1\n\n'));
    return { response, ended, received: () => text, closing: gracefulClose(server, { ...OPTIONS, ...options }) };
  }

  test('goes on to its own end if it answers a POST', async (t) => {
    await using scope = new Scope();
    const { response, received, closing } = await closeDuring(scope, POST);
    // Time is what is tested.
    await sleep(LONG);
    response.end('data: [DONE]\n\n');
    const { outcome, connections } = await closing;
    assert.match(received(), /\[DONE\]\n\n\r\n0\r\n\r\n$/);
    assert.deepEqual({ outcome, eventStreams: connections.eventStreams }, { outcome: 'complete', eventStreams: 0 });
    proof.held(t, { 'under way': connections.ended });
  });

  test("control: is ended in its middle with `eventStreams: 'all'`, and the client sees that the end is missing", async (t) => {
    await using scope = new Scope();
    const { response, ended, received, closing } = await closeDuring(scope, POST, { eventStreams: 'all' });
    assert.equal(await ended, 'EOF');
    response.end('data: [DONE]\n\n');
    assert.doesNotMatch(received(), /DONE|\r\n0\r\n/);
    assert.equal((await closing).connections.eventStreams, 1);
    proof.lost(t, 1);
  });

  test('of an EventSource is ended by the connection, with a close_notify and without a last chunk', async () => {
    await using scope = new Scope();
    const { ended, received, closing } = await closeDuring(scope, EVENT_SOURCE);
    assert.equal(await ended, 'EOF');
    assert.match(received(), /data: 1\n\n\r\n$/);
    const { outcome, connections } = await closing;
    const { eventStreams, cut } = connections;
    assert.deepEqual({ outcome, eventStreams, cut }, { outcome: 'complete', eventStreams: 1, cut: [] });
  });
});
