import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import * as entry from 'lastcall';
import { collectMetrics } from 'lastcall/metrics';
import { Registry } from 'prom-client';
import * as source from '../src/index.ts';

// What users get is bundled; the other tests import the modules that it is made of.

test('the package exports what its contents page does', () => {
  assert.deepEqual(Object.keys(entry), Object.keys(source));
});

test('the package closes a server that it has seen begin to listen', async () => {
  const server = http.createServer((_, response) => response.end('served'));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const [listener] = (await entry.gracefulClose(server)).listeners;
  assert.deepEqual({ gate: listener?.gate, reason: listener?.reason }, { gate: 'refuse', reason: undefined });
});

test('its metrics see the same servers and closes', async (t) => {
  const registry = new Registry();
  t.after(collectMetrics({ registry }));
  const server = http.createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  assert.match(await registry.metrics(), /^lastcall_queued\{address="127.0.0.1:\d+"\} 0$/m);
  await entry.gracefulClose(server);
  assert.match(await registry.metrics(), /^lastcall_close_duration_seconds_count 1$/m);
});
