import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import fc from 'fast-check';
import { SOCK_DIAG_BY_FAMILY } from '../../src/linux/constants.ts';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { decodeDatagram, NetlinkError } from '../../src/linux/tables/netlink.ts';
import {
  decodeHalfOpen,
  decodeUnixQueue,
  encodeHalfOpenRequest,
  encodeUnixQueueRequest,
  readUnixQueue,
} from '../../src/linux/tables/sock-diag.ts';
import { CAPTURED_SEQUENCE, HALF_OPEN_IPV4, HALF_OPEN_IPV6, UNIX_QUEUE, UNIX_QUEUE_INODE } from './captured-dump.ts';
import { halfOpenTo, Loopback } from './loopback.ts';

for (const [family, number] of [
  ['IPv4', 2],
  ['IPv6', 10],
] as const) {
  test(`the request for half-open ${family} connections is an inet_diag_req_v2`, () => {
    const request = encodeHalfOpenRequest(family, 0x01020304);
    assert.equal(request.length, 72);
    assert.equal(request.readUInt32LE(0), 72);
    assert.equal(request.readUInt16LE(4), 20, 'SOCK_DIAG_BY_FAMILY');
    assert.equal(request.readUInt16LE(6), 0x301, 'NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH');
    assert.equal(request.readUInt32LE(8), 0x01020304);
    assert.equal(request.readUInt8(16), number, 'sdiag_family');
    assert.equal(request.readUInt8(17), 6, 'sdiag_protocol');
    assert.equal(request.readUInt8(18), 0, 'idiag_ext');
    assert.equal(request.readUInt32LE(20), 1 << 3, 'idiag_states: TCP_SYN_RECV');
    assert(
      request.subarray(24).every((byte) => byte === 0),
      'any address and port',
    );
  });
}

test("the request for a Unix socket's queue is a unix_diag_req for any cookie", () => {
  const request = encodeUnixQueueRequest(0x0badcafe, 0x01020304);
  assert.equal(request.length, 40);
  assert.equal(request.readUInt32LE(0), 40);
  assert.equal(request.readUInt16LE(4), 20, 'SOCK_DIAG_BY_FAMILY');
  assert.equal(request.readUInt16LE(6), 1, 'NLM_F_REQUEST');
  assert.equal(request.readUInt32LE(8), 0x01020304);
  assert.equal(request.readUInt32LE(16), 1, 'sdiag_family, no protocol, no padding');
  assert.equal(request.readUInt32LE(20), 0xffffffff, 'udiag_states');
  assert.equal(request.readUInt32LE(24), 0x0badcafe, 'udiag_ino');
  assert.equal(request.readUInt32LE(28), 0x10, 'UDIAG_SHOW_RQLEN');
  assert.equal(request.subarray(32).toString('hex'), 'ffffffffffffffff');
});

test('captured half-open connections read as they were', () => {
  assert.deepEqual(decodeHalfOpen(payloadOf(HALF_OPEN_IPV4)), {
    localAddress: '127.0.0.1',
    localPort: 47_001,
    remoteAddress: '127.0.0.1',
    remotePort: 47_101,
  });
  assert.deepEqual(decodeHalfOpen(payloadOf(HALF_OPEN_IPV6)), {
    localAddress: '::1',
    localPort: 47_002,
    remoteAddress: '::1',
    remotePort: 47_101,
  });
});

test('a half-open connection cut short, or of another family, is none', () => {
  const payload = payloadOf(HALF_OPEN_IPV4);
  assert.throws(() => decodeHalfOpen(payload.subarray(0, 71)), { name: 'NetlinkError', fault: 'truncated' });
  payload.writeUInt8(1, 0);
  assert.throws(() => decodeHalfOpen(payload), { name: 'NetlinkError', fault: 'error' });
});

test("a captured Unix listener's queue reads as it was, and only under its own inode", () => {
  const payload = payloadOf(UNIX_QUEUE);
  assert.equal(decodeUnixQueue(payload, UNIX_QUEUE_INODE), 1);
  assert.equal(decodeUnixQueue(payload, UNIX_QUEUE_INODE + 1), undefined);
});

test('a Unix answer without the lengths says nothing, and one cut short is a fault', () => {
  const payload = payloadOf(UNIX_QUEUE);
  assert.equal(decodeUnixQueue(payload.subarray(0, 16), UNIX_QUEUE_INODE), undefined);
  assert.throws(() => decodeUnixQueue(payload.subarray(0, 15), UNIX_QUEUE_INODE), { fault: 'truncated' });
  assert.throws(() => decodeUnixQueue(payload.subarray(0, 24), UNIX_QUEUE_INODE), { fault: 'truncated' });
  // The attribute is there, but too short for the two lengths.
  payload.writeUInt16LE(8, 16);
  assert.equal(decodeUnixQueue(payload, UNIX_QUEUE_INODE), undefined);
});

test('arbitrary payloads give an answer or a NetlinkError', () => {
  fc.assert(
    fc.property(fc.constantFrom(0, 1, 2, 10), fc.uint8Array({ maxLength: 100 }), (family, rest) => {
      const payload = Buffer.from([family, ...rest]);
      for (const decode of [() => decodeHalfOpen(payload), () => decodeUnixQueue(payload, 1)]) {
        try {
          decode();
        } catch (error) {
          if (!(error instanceof NetlinkError)) throw error;
        }
      }
    }),
  );
});

for (const [family, host] of [
  ['IPv4', '127.0.0.1'],
  ['IPv6', '::1'],
] as const) {
  test(`the silent ${family} clients of a deferred listener are half-open, each with its address`, async () => {
    await using loopback = new Loopback();
    const { port } = await loopback.startDeferredListener({ host });
    const other = await loopback.startDeferredListener({ host });
    assert.deepEqual(halfOpenTo(family, port), []);
    const clients = [];
    for (let count = 0; count < 5; count++) clients.push(await loopback.connect({ host, port }));
    await loopback.connect({ host, port: other.port });
    const expected = clients.map(({ localPort }) => ({
      localAddress: host,
      localPort: port,
      remoteAddress: host,
      remotePort: localPort ?? 0,
    }));
    assert.deepEqual(sorted(halfOpenTo(family, port)), sorted(expected));
    assert.equal(halfOpenTo(family, other.port).length, 1);
    assert.deepEqual(halfOpenTo(family === 'IPv4' ? 'IPv6' : 'IPv4', port), []);
  });
}

test('a client of a deferred listener is half-open no more once it has spoken', async () => {
  await using loopback = new Loopback();
  const { server, port } = await loopback.startDeferredListener();
  const client = await loopback.connect({ host: '127.0.0.1', port });
  assert.equal(halfOpenTo('IPv4', port).length, 1);
  client.write('hello');
  await once(server, 'connection');
  assert.deepEqual(halfOpenTo('IPv4', port), []);
});

test('an IPv4 client of a dual-stack listener is in the IPv6 dump, by its mapped address', async () => {
  await using loopback = new Loopback();
  const { port } = await loopback.startDeferredListener({ host: '::' });
  await loopback.connect({ host: '127.0.0.1', port });
  assert.deepEqual(halfOpenTo('IPv4', port), []);
  assert.deepEqual(
    halfOpenTo('IPv6', port).map(({ localAddress, remoteAddress }) => ({ localAddress, remoteAddress })),
    [{ localAddress: '::ffff:127.0.0.1', remoteAddress: '::ffff:127.0.0.1' }],
  );
});

test('a dump of several parts is read to its end', async () => {
  await using loopback = new Loopback();
  // A row is 96 bytes and a part at most 32 KiB.
  const { port } = await loopback.startDeferredListener({ backlog: 500 });
  await Promise.all(Array.from({ length: 400 }, () => loopback.connect({ host: '127.0.0.1', port })));
  assert.equal(halfOpenTo('IPv4', port).length, 400);
});

test('the connections that a Unix listener has not accepted are counted', async () => {
  await using loopback = new Loopback();
  const path = loopback.socketPath();
  const { server, fd } = await loopback.startListener({ path });
  assert.equal(readUnixQueue(inodeOf(fd)), 0);
  loopback.connectWhileBlocked({ path }, 6);
  assert.equal(readUnixQueue(inodeOf(fd)), 6);
  for (let accepted = 0; accepted < 6; accepted++) await once(server, 'connection');
  assert.equal(readUnixQueue(inodeOf(fd)), 0);
});

test('an inode that is no Unix socket has no queue', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  assert.throws(() => readUnixQueue(inodeOf(fd)), { name: 'NetlinkError', fault: 'error', errno: 2 });
});

function payloadOf(hex: string): Buffer {
  const payloads: Buffer[] = [];
  decodeDatagram(Buffer.from(hex, 'hex'), SOCK_DIAG_BY_FAMILY, CAPTURED_SEQUENCE, (payload) => payloads.push(payload));
  assert.equal(payloads.length, 1);
  return Buffer.from(payloads[0]!);
}

function sorted<Row extends { readonly remotePort: number }>(rows: readonly Row[]): readonly Row[] {
  return rows.toSorted((one, other) => one.remotePort - other.remotePort);
}
