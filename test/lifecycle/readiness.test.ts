import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { suite, test } from 'node:test';
import { type LastCall, lastCall } from '../../src/index.ts';
import { freePort, portOf } from '../harness/ports.ts';

const SOON = { idleWait: 50, lingerWait: 50 } as const;

function answerOf(port: number, path: string, method = 'GET'): Promise<string> {
  return new Promise((resolve) => {
    const request = http.request({ host: '127.0.0.1', port, path, method, agent: false }, async (response) => {
      let text = '';
      for await (const chunk of response) text += String(chunk);
      resolve(`${response.statusCode} ${text.trim()}`);
    });
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    request.end();
  });
}

interface Probed extends AsyncDisposable {
  readonly port: number;
  readonly service: LastCall;
  readonly server: http.Server;
}

/** A service that does not listen yet, with a server for probes. Its lame duck lasts until the test ends. */
async function startProbed(): Promise<Probed> {
  const port = await freePort();
  const server = http.createServer((_, response) => response.end('served'));
  const options = { exit: false, lameDuck: 60_000, lameDuckMin: 60_000, deadline: 120_000, ...SOON };
  const soon = new AbortController();
  const service = lastCall(server, { ...options, signal: soon.signal, readinessServer: { port, host: '127.0.0.1' } });
  const end = async (): Promise<void> => {
    soon.abort();
    await service.close();
  };
  return { port, service, server, [Symbol.asyncDispose]: end };
}

suite('readiness', () => {
  test('comes from a separate server, before the service listens, while it serves, and while it stops', async () => {
    await using probed = await startProbed();
    const { port, service, server } = probed;
    const { ready, state } = service;
    assert.deepEqual({ ready, state }, { ready: false, state: 'serving' });
    assert.equal(await answerOf(port, '/ready'), '503 starting');
    assert.equal(await answerOf(port, '/live'), '200 starting');
    await once(server.listen(0, '127.0.0.1'), 'listening');
    assert.equal(service.ready, true);
    assert.equal(await answerOf(port, '/ready'), '200 ready');
    assert.equal(await answerOf(port, '/ready?verbose', 'HEAD'), '200 ');
    assert.equal(await answerOf(port, '/ready', 'POST'), '405 GET or HEAD');
    assert.equal(await answerOf(port, '/'), '404 /ready or /live');
    void service.close();
    assert.equal(service.ready, false);
    assert.equal(await answerOf(port, '/ready'), '503 lame duck');
    assert.equal(await answerOf(port, '/live'), '200 lame duck');
  });

  test('ends with the service', async () => {
    const port = await freePort();
    const server = http.createServer();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const service = lastCall(server, { exit: false, readinessServer: { port, host: '127.0.0.1' }, ...SOON });
    assert.equal(await answerOf(port, '/ready'), '200 ready');
    await service[Symbol.asyncDispose]();
    assert.equal(await answerOf(port, '/ready'), 'ECONNREFUSED');
    assert.equal(service.state, 'closed');
  });

  test('may come from the service itself, at any path', async () => {
    const server: http.Server = http.createServer((request, response) => service.readiness(request, response));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    await using service = lastCall(server, { exit: false, ...SOON });
    assert.equal(await answerOf(portOf(server), '/healthz/ready'), '200 ready');
    assert.equal(await answerOf(portOf(server), '/healthz/live'), '200 ready');
  });
});
