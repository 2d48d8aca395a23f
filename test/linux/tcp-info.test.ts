import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { readAcceptQueue, readConnection } from '../../src/linux/tcp-info.ts';
import { block, fdOf, Loopback } from './loopback.ts';

// The kernel counts in jiffies, of at most 10 ms (CONFIG_HZ of at least 100), and rounds the milliseconds down.
const TICK = 11;

test('clients are counted until they are accepted', async () => {
  await using loopback = new Loopback();
  const { server, fd, port } = await loopback.startListener({ backlog: 40 });
  assert.deepEqual(readAcceptQueue(fd), { queued: 0, limit: 40 });
  loopback.connectWhileBlocked({ host: '127.0.0.1', port }, 7);
  assert.deepEqual(readAcceptQueue(fd), { queued: 7, limit: 40 });
  for (let accepted = 0; accepted < 7; accepted++) await once(server, 'connection');
  assert.deepEqual(readAcceptQueue(fd), { queued: 0, limit: 40 });
});

test('a silent connection is quiet since its handshake, not since it was accepted', async () => {
  await using loopback = new Loopback();
  const { server, port } = await loopback.startListener();
  const before = performance.now();
  loopback.connectWhileBlocked({ host: '127.0.0.1', port }, 1);
  const connected = performance.now();
  block(300);
  const [socket]: net.Socket[] = await once(server, 'connection');
  const atLeast = performance.now() - connected - TICK;
  const quiet = readConnection(fdOf(socket!)).quiet ?? Number.NaN;
  const atMost = performance.now() - before + TICK;
  assert(quiet >= atLeast && quiet <= atMost, `${quiet} ms, expected ${atLeast} to ${atMost}`);
});

for (const [what, speak] of [
  ['data came', (client: net.Socket, _server: net.Socket) => client.write('x')],
  ['it sent data', (_client: net.Socket, server: net.Socket) => server.write('x')],
] as const) {
  test(`the quiet time of a connection begins when ${what}, and grows`, async () => {
    await using loopback = new Loopback();
    const { client, socket } = await connectPair(loopback);
    const fd = fdOf(socket);
    block(300);
    assert((readConnection(fd).quiet ?? Number.NaN) >= 300 - TICK);
    const before = performance.now();
    const heard = Promise.race([once(client, 'data'), once(socket, 'data')]);
    speak(client, socket);
    await heard;
    const quiet = readConnection(fd).quiet ?? Number.NaN;
    assert(quiet <= performance.now() - before + TICK, `${quiet} ms after data`);
    const later = performance.now();
    block(100);
    const longer = readConnection(fd).quiet ?? Number.NaN;
    assert(longer >= performance.now() - later - TICK && longer > quiet, `${quiet} ms, then ${longer} ms`);
  });
}

test('nothing was sent again on a connection that lost nothing', async () => {
  await using loopback = new Loopback();
  const { client, socket } = await connectPair(loopback);
  assert.equal(readConnection(fdOf(client)).retransmissions, 0);
  assert.equal(readConnection(fdOf(socket)).retransmissions, 0);
});

test('only a TCP socket has TCP_INFO', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener({ path: loopback.socketPath() });
  assert.throws(() => readAcceptQueue(fd), { name: 'SystemCallError', syscall: 'getsockopt', code: 'ENOTSUP' });
  assert.throws(() => readConnection(-1).quiet ?? Number.NaN, { name: 'SystemCallError', code: 'EBADF' });
});

async function connectPair(loopback: Loopback): Promise<{ readonly client: net.Socket; readonly socket: net.Socket }> {
  const { server, port } = await loopback.startListener();
  const accepted = once(server, 'connection');
  const client = await loopback.connect({ host: '127.0.0.1', port });
  const [socket]: net.Socket[] = await accepted;
  client.resume();
  socket!.resume();
  return { client, socket: socket! };
}
