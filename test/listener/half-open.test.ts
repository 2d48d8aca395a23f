import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countHalfOpen, mayCountHalfOpen } from '../../src/listener/half-open.ts';
import { findListener } from '../../src/listener/listener.ts';
import { Loopback } from '../linux/loopback.ts';

test('listeners that are counted together share one walk through the sockets, each with its own clients', async () => {
  await using loopback = new Loopback();
  const [one, other] = [await loopback.startDeferredListener(), await loopback.startDeferredListener()];
  const connect = (port: number): Promise<unknown> => loopback.connect({ host: '127.0.0.1', port });
  for (const port of [one.port, one.port, other.port]) await connect(port);
  const since = performance.now();
  assert.equal(countHalfOpen(findListener(one.server), since), 2);
  await connect(other.port);
  // As it was when the first was counted: to ask the kernel again would find two.
  assert.equal(mayCountHalfOpen(findListener(other.server), since), true);
  assert.equal(countHalfOpen(findListener(other.server), since), 1);
});

test('control: a count that must be newer asks the kernel again, and not at once', async () => {
  await using loopback = new Loopback();
  const { server, port } = await loopback.startDeferredListener();
  const listener = findListener(server);
  assert.equal(countHalfOpen(listener, performance.now()), 0);
  await loopback.connect({ host: '127.0.0.1', port });
  assert.equal(countHalfOpen(listener, performance.now()), 1);
  // All walks together take a tenth of the time.
  assert.equal(mayCountHalfOpen(listener, performance.now()), false);
});
