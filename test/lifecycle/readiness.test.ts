import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import net from 'node:net';
import { suite, test, type TestContext } from 'node:test';
import { lastCall } from '../../src/index.ts';
import { SOON, startHttp } from '../close/calls-servers.ts';

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

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

async function startProbed(
  t: TestContext,
): Promise<{ port: number; service: ReturnType<typeof lastCall>; server: http.Server }> {
  const port = await freePort();
  const server = http.createServer((_, response) => response.end('served'));
  const options = { exit: false, lameDuck: 60_000, lameDuckMin: 60_000, deadline: 120_000, ...SOON };
  const soon = new AbortController();
  const service = lastCall(server, { ...options, signal: soon.signal, readinessServer: { port, host: '127.0.0.1' } });
  t.after(() => {
    soon.abort();
    return service.close();
  });
  return { port, service, server };
}

suite('readiness', () => {
  test('is told by a server of its own, before the service listens, while it serves, and while it stops', async (t) => {
    const { port, service, server } = await startProbed(t);
    assert.deepEqual([service.ready, service.state], [false, 'serving']);
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

  test('goes with the service', async (t) => {
    const port = await freePort();
    const server = await startHttp(t);
    const service = lastCall(server, { exit: false, readinessServer: { port, host: '127.0.0.1' }, ...SOON });
    assert.equal(await answerOf(port, '/ready'), '200 ready');
    await service[Symbol.asyncDispose]();
    assert.equal(await answerOf(port, '/ready'), 'ECONNREFUSED');
    assert.equal(service.state, 'closed');
  });

  test('is asked of the service itself, at any path', async (t) => {
    const server: http.Server = await startHttp(t, (request, response) => service.readiness(request, response));
    const service = lastCall(server, { exit: false, ...SOON });
    const { port } = server.address() as AddressInfo;
    assert.equal(await answerOf(port, '/healthz/ready'), '200 ready');
    assert.equal(await answerOf(port, '/healthz/live'), '200 ready');
    await service.close();
  });
});
