import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { inodeOf, listeningDescriptors } from '../../src/linux/descriptors.ts';
import type { ListenerSight } from '../fixtures/linux/child-program.ts';
import { Loopback } from './loopback.ts';
import { needsNamespaces, needsRoot } from '../harness/needs.ts';
import { runChild } from './run-child.ts';

test('every listener is found with its address, and nothing else', async () => {
  await using loopback = new Loopback();
  assert.deepEqual(listeningDescriptors(), []);
  const path = loopback.socketPath();
  const abstract = `\0lastcall-${process.pid}`;
  const inet = await loopback.startListener({ host: '127.0.0.1' });
  const inet6 = await loopback.startListener({ host: '::1' });
  const unix = await loopback.startListener({ path });
  const unnamed = await loopback.startListener({ path: abstract });
  await loopback.connect({ host: '127.0.0.1', port: inet.port });
  await loopback.connect({ path });
  const datagrams = createSocket('udp4').bind(0, '127.0.0.1');
  loopback.defer(() => datagrams.close());
  await once(datagrams, 'listening');

  const expected = [
    { fd: inet.fd, address: { family: 'IPv4', address: '127.0.0.1', port: inet.port } },
    { fd: inet6.fd, address: { family: 'IPv6', address: '::1', port: inet6.port } },
    { fd: unix.fd, address: { family: 'Unix', path } },
    { fd: unnamed.fd, address: { family: 'Unix', path: abstract } },
  ];
  const byDescriptor = (one: { readonly fd: number }, other: { readonly fd: number }) => one.fd - other.fd;
  assert.deepEqual(listeningDescriptors().toSorted(byDescriptor), expected.toSorted(byDescriptor));
});

test('a listener that was closed is not found', async () => {
  await using loopback = new Loopback();
  const { server } = await loopback.startListener();
  assert.equal(listeningDescriptors().length, 1);
  server.close();
  await once(server, 'close');
  assert.deepEqual(listeningDescriptors(), []);
});

test('the inode is the one in /proc', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  assert.equal(`socket:[${inodeOf(fd)}]`, readlinkSync(`/proc/self/fd/${fd}`));
});

test('a process that has dropped root finds its listener', { skip: needsRoot }, async () => {
  const sight = (await runChild('listeners-as-nobody')) as ListenerSight;
  assert.equal(sight.uid, 65_534);
  assertFound(sight);
});

test('a process without /proc finds its listener', { skip: needsNamespaces('--mount') }, async () => {
  const hideProc = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh'];
  const sight = (await runChild('listeners', hideProc)) as ListenerSight;
  assert.equal(sight.hasProc, false);
  assertFound(sight);
});

function assertFound({ found, port }: ListenerSight): void {
  assert.deepEqual(
    found.map(({ address }) => address),
    [{ family: 'IPv4', address: '127.0.0.1', port }],
  );
}
