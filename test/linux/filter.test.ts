import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { attachSynFilter, detachFilter } from '../../src/linux/filter.ts';
import { SystemCallError } from '../../src/linux/libc.ts';
import { readAcceptQueue, readConnection } from '../../src/linux/tcp-info.ts';
import { fdOf, halfOpenTo, Loopback } from './loopback.ts';
import { needsNamespaces, needsRoot } from '../harness/needs.ts';
import { runChild } from './run-child.ts';

const host = '127.0.0.1';
const skip = await whyNoFilter();

for (const family of ['127.0.0.1', '::1']) {
  test(`a client at ${family} gets no answer while the filter is on, and is let in when it is off`, {
    skip,
  }, async () => {
    await using loopback = new Loopback();
    const { server, fd, port } = await loopback.startListener({ host: family });
    const open = await loopback.startListener({ host: family });
    attachSynFilter(fd);
    const client = loopback.beginConnect({ host: family, port });
    const connected = once(client, 'connect');
    // The control: a client that began later, at a listener without the filter.
    await loopback.connect({ host: family, port: open.port });
    assert.equal(client.connecting, true);
    assert.equal(readAcceptQueue(fd).queued, 0);
    assert.deepEqual(halfOpenTo(family === '::1' ? 'IPv6' : 'IPv4', port), []);

    const accepted = once(server, 'connection');
    detachFilter(fd);
    await Promise.all([connected, accepted]);
    assert(readConnection(fdOf(client)).retransmissions > 0, 'the first SYN was dropped and sent again');
  });
}

test('without the filter a client is let in by its first SYN', async () => {
  await using loopback = new Loopback();
  const { port } = await loopback.startListener();
  const client = await loopback.connect({ host, port });
  assert.equal(readConnection(fdOf(client)).retransmissions, 0);
});

test('a client that was half-open when the filter came is let in while it is on', { skip }, async () => {
  await using loopback = new Loopback();
  const { server, fd, port } = await loopback.startDeferredListener();
  const client = await loopback.connect({ host, port });
  assert.equal(halfOpenTo('IPv4', port).length, 1);
  attachSynFilter(fd);
  const accepted = once(server, 'connection');
  client.write('hello');
  const [socket]: net.Socket[] = await accepted;
  const [text] = await once(socket!, 'data');
  assert.equal(String(text), 'hello');
  assert.equal(readConnection(fdOf(client)).retransmissions, 0);
});

test('an open connection continues while the filter is on', { skip }, async () => {
  await using loopback = new Loopback();
  const { server, fd, port } = await loopback.startListener();
  const accepted = once(server, 'connection');
  const client = await loopback.connect({ host, port });
  const [socket]: net.Socket[] = await accepted;
  attachSynFilter(fd);
  socket!.on('data', (bytes) => socket!.end(bytes));
  client.end('hello');
  const [text] = await once(client, 'data');
  assert.equal(String(text), 'hello');
  await once(client, 'close');
});

test('a socket that was accepted under the filter inherits it, and detaches it alone', { skip }, async () => {
  await using loopback = new Loopback();
  const { server, fd, port } = await loopback.startDeferredListener();
  const client = await loopback.connect({ host, port });
  attachSynFilter(fd);
  const accepted = once(server, 'connection');
  client.write('hello');
  const [socket]: net.Socket[] = await accepted;
  detachFilter(fdOf(socket!));
  assert.throws(() => detachFilter(fdOf(socket!)), { syscall: 'setsockopt', code: 'ENOENT' });
  detachFilter(fd);
});

test('a filter cannot be detached twice', { skip }, async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  assert.throws(() => detachFilter(fd), { name: 'SystemCallError', syscall: 'setsockopt', code: 'ENOENT' });
  attachSynFilter(fd);
  attachSynFilter(fd);
  detachFilter(fd);
  assert.throws(() => detachFilter(fd), { code: 'ENOENT' });
});

test('user nobody either attaches a filter or gets EPERM', { skip: needsRoot }, async () => {
  const outcome = await runChild('filter-as-nobody');
  assert(outcome === 'EPERM' || outcome === 'attached', String(outcome));
});

test('a SYN that offers ECN is dropped, too', { skip: skip || needsNamespaces('--net') }, async () => {
  // A network namespace of its own, since net.ipv4.tcp_ecn holds for all connections of one.
  const below = [
    'unshare',
    '--net',
    'sh',
    '-c',
    'ip link set lo up && echo 1 >/proc/sys/net/ipv4/tcp_ecn && exec "$@"',
    'sh',
  ];
  assert.deepEqual(await runChild('connect-with-ecn', below), {
    pendingUnderFilter: true,
    retransmissions: true,
    ecn: true,
  });
});

/** Why the tests are skipped: some kernels want CAP_NET_ADMIN for a filter. */
async function whyNoFilter(): Promise<string | false> {
  const server = net.createServer().listen(0, host);
  await once(server, 'listening');
  try {
    attachSynFilter(fdOf(server));
    return false;
  } catch (error) {
    if (error instanceof SystemCallError && error.code === 'EPERM') return 'needs CAP_NET_ADMIN';
    throw error;
  } finally {
    server.close();
  }
}
