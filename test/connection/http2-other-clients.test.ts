import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { UndiciSends } from '../fixtures/connection/http2/http2-undici.ts';
import { needsPrograms } from '../harness/needs.ts';
import { otherNodes } from '../harness/other-nodes.ts';
import { startCommand, startFixture } from '../harness/processes.ts';
import { labMissing } from '../lab/lab.ts';
import { assertComplete, Http2Server } from './http2-server-driver.ts';

suite('other HTTP/2 clients', { skip: labMissing }, () => {
  const newest = otherNodes.find(({ title }) => title === 'Node 24');

  // Its version 7, for Node 20, gives up whatever is under way at any GOAWAY.
  test('undici 8: what is under way is answered', { skip: needsPrograms('openssl') || newest?.missing }, async () => {
    await using server = await Http2Server.start({ way: 'tls', busy: 11 });
    await using client = startFixture<UndiciSends>('connection/http2/http2-undici', {
      host: server.client,
      node: newest?.path ?? process.execPath,
    });
    const module = new URL('../../../scripts/other-nodes/node_modules/undici/index.js', import.meta.url).href;
    client.send({ module, url: server.url });
    await server.busy();
    assertComplete((await server.close()).report);
    assert.deepEqual(await client.next('failed'), []);
  });

  test('h2load (nghttp2): every request that the server was sent succeeds', {
    skip: needsPrograms('h2load'),
  }, async () => {
    await using server = await Http2Server.start({ way: 'cleartext' });
    // It asks for as long as it is told to, whatever becomes of its connections: longer than it takes the server to be busy.
    await using load = startCommand(['h2load', '-c', '10', '-m', '10', '-D', '6', server.url], { host: server.client });
    await server.busy();
    const { report, processed } = await server.close();
    assertComplete(report);
    assert.equal(report.connections.lateRequests, 0);
    const { stdout } = await load.ended;
    const [, started, succeeded, failed] =
      / (\d+) started, \d+ done, (\d+) succeeded, (\d+) failed, /.exec(stdout) ?? [];
    assert.equal(Number(succeeded), processed, stdout);
    // Those had not left it when the GOAWAY came, though it counts them as started: the server was sent none that it did not answer.
    assert.equal(Number(failed), Number(started) - processed, stdout);
  });

  // Without TLS its version 7.88 fails to multiplex, whatever the server does.
  test('curl (nghttp2): what is under way is answered', {
    skip: needsPrograms('openssl', 'curl'),
  }, async () => {
    await using server = await Http2Server.start({ way: 'tls', busy: 10 });
    const urls = Array.from({ length: 10 }, (_, index) => `${server.url}${index}`);
    await using curl = startCommand(['curl', '-sSk', '--http2', '--parallel', ...urls], { host: server.client });
    await server.busy();
    assertComplete((await server.close()).report);
    const { code, signal, stdout } = await curl.ended;
    assert.deepEqual({ code, signal, stdout }, { code: 0, signal: null, stdout: 'served\n'.repeat(10) });
  });
});
