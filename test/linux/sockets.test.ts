import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { IPPROTO_TCP, SHUT_RD, SO_ACCEPTCONN, SOL_SOCKET, TCP_DEFER_ACCEPT } from '../../src/linux/constants.ts';
import {
  countListenDrops,
  decodeAddress,
  getIntOption,
  ipv6Text,
  isIPv6Only,
  isListening,
  listen,
  localAddress,
  readOption,
  setIntOption,
  shutdown,
  unacknowledgedBytes,
  unreadBytes,
} from '../../src/linux/sockets.ts';
import { readAcceptQueue } from '../../src/linux/tcp-info.ts';
import { fdOf, Loopback } from './loopback.ts';

test('addresses are decoded by family and length', () => {
  const inet = Buffer.from('0200 1f90 7f000001 0000000000000000'.replaceAll(' ', ''), 'hex');
  const inet6 = Buffer.from(`0a00 1f90 00000000 20010db8${'00'.repeat(11)}01 00000000`.replaceAll(' ', ''), 'hex');
  assert.deepEqual(decodeAddress(inet), { family: 'IPv4', address: '127.0.0.1', port: 8080 });
  assert.deepEqual(decodeAddress(inet6), { family: 'IPv6', address: '2001:db8::1', port: 8080 });
  assert.equal(decodeAddress(inet.subarray(0, 7)), undefined);
  assert.equal(decodeAddress(inet6.subarray(0, 23)), undefined);
  assert.equal(decodeAddress(Buffer.alloc(1)), undefined);
  assert.equal(decodeAddress(Buffer.from([16, 0, 0, 0, 0, 0, 0, 0])), undefined);
});

test('a Unix address ends at its NUL, or has none, or begins with it', () => {
  const decode = (path: string) => decodeAddress(Buffer.from(`\u0001\0${path}`));
  assert.deepEqual(decode('/run/a\0rest'), { family: 'Unix', path: '/run/a' });
  assert.deepEqual(decode('/run/a'), { family: 'Unix', path: '/run/a' });
  assert.deepEqual(decode('\0a\0b'), { family: 'Unix', path: '\0a\0b' });
  assert.deepEqual(decode('\0a\0\0\0'), { family: 'Unix', path: '\0a' });
  assert.deepEqual(decode(''), { family: 'Unix', path: '' });
});

test('any bytes decode to an address or to undefined', () => {
  fc.assert(
    fc.property(fc.constantFrom(0, 1, 2, 10, 16), fc.uint8Array({ maxLength: 126 }), (family, rest) => {
      const decoded = decodeAddress(Buffer.from([family, 0, ...rest]));
      if (decoded !== undefined && decoded.family !== 'Unix') assert(net.isIP(decoded.address));
    }),
  );
});

const IPV6_TEXTS: readonly (readonly [hex: string, text: string])[] = [
  ['00000000000000000000000000000000', '::'],
  ['00000000000000000000000000000001', '::1'],
  ['20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
  ['20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1'],
  ['fe80000000000000000000000000abcd', 'fe80::abcd'],
  ['00000000000000000000ffffc0000201', '::ffff:192.0.2.1'],
];

for (const [hex, text] of IPV6_TEXTS) {
  test(`the IPv6 address ${text} is written as RFC 5952 asks`, () => {
    assert.equal(ipv6Text(Buffer.from(hex, 'hex')), text);
  });
}

test('a listener is bound to the address that Node returns, for IPv4, IPv6 and Unix', async () => {
  await using loopback = new Loopback();
  for (const where of [{ host: '127.0.0.1' }, { host: '::1' }, { host: '::' }]) {
    const { server, fd } = await loopback.startListener(where);
    const { family, address, port } = server.address() as net.AddressInfo;
    assert.deepEqual(localAddress(fd), { family, address, port });
  }
  const path = loopback.socketPath();
  assert.deepEqual(localAddress((await loopback.startListener({ path })).fd), { family: 'Unix', path });
});

test('a listener listens, a connection and a closed descriptor do not', async () => {
  await using loopback = new Loopback();
  const { fd, port } = await loopback.startListener();
  const client = await loopback.connect({ host: '127.0.0.1', port });
  assert.equal(isListening(fd), true);
  assert.equal(isListening(fdOf(client)), false);
  assert.equal(isListening(-1), false);
});

test('shutdown(2) for reading ends a listener', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  shutdown(fd, SHUT_RD);
  assert.equal(isListening(fd), false);
});

test('listen(2) again changes the limit of the accept queue', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener({ backlog: 9 });
  assert.equal(readAcceptQueue(fd).limit, 9);
  listen(fd, 3);
  assert.equal(readAcceptQueue(fd).limit, 3);
});

test('an option reads as it was set, and no longer than the kernel has it', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  assert.equal(getIntOption(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
  setIntOption(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
  assert.equal(getIntOption(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 1);
  assert.equal(getIntOption(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
  assert.equal(readOption(fd, SOL_SOCKET, SO_ACCEPTCONN, Buffer.alloc(64)), 4);
});

test('a dual-stack listener is distinguished from one for IPv6 only', async () => {
  await using loopback = new Loopback();
  assert.equal(isIPv6Only((await loopback.startListener({ host: '::' })).fd), false);
  assert.equal(isIPv6Only((await loopback.startListener({ host: '::', ipv6Only: true })).fd), true);
});

test('a SYN that meets a full accept queue is counted among the drops', async () => {
  await using loopback = new Loopback();
  const { fd, port } = await loopback.startListener({ backlog: 1 });
  loopback.connectWhileBlocked({ host: '127.0.0.1', port }, 2);
  assert.equal(readAcceptQueue(fd).queued, 2);
  assert.equal(countListenDrops(fd), 0);
  const client = loopback.beginConnect({ host: '127.0.0.1', port });
  // After the tick that sends the SYN, and before the server can accept.
  await new Promise((resolve) => process.nextTick(resolve));
  assert.equal(countListenDrops(fd), 1);
  await once(client, 'connect');
  assert.equal(countListenDrops(fd), 1);
});

test('unread bytes are counted', async () => {
  await using loopback = new Loopback();
  const { server, port } = await loopback.startListener({}, { pauseOnConnect: true });
  const accepted = once(server, 'connection');
  const client = await loopback.connect({ host: '127.0.0.1', port });
  const [socket]: net.Socket[] = await accepted;
  assert.equal(unreadBytes(fdOf(socket!)), 0);
  await new Promise((written) => client.write('hello', written));
  assert.equal(unreadBytes(fdOf(socket!)), 5);
});

test('bytes that the peer has not acknowledged are counted until it has', async () => {
  await using loopback = new Loopback();
  const { server, port } = await loopback.startListener({}, { pauseOnConnect: true });
  const accepted = once(server, 'connection');
  const client = await loopback.connect({ host: '127.0.0.1', port });
  const [socket]: net.Socket[] = await accepted;
  assert.equal(unacknowledgedBytes(fdOf(client)), 0);
  const size = 32 * 1024 * 1024;
  client.write(Buffer.alloc(size));
  assert(unacknowledgedBytes(fdOf(client)) > 0);
  let received = 0;
  // The answer carries the acknowledgement of all that came before it.
  socket!.on('data', (chunk) => {
    received += chunk.length;
    if (received === size) socket!.write('all');
  });
  socket!.resume();
  await once(client, 'data');
  assert.equal(unacknowledgedBytes(fdOf(client)), 0);
});
