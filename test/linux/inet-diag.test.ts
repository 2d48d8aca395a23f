import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { INET_DIAG_INFO, TCP_ESTABLISHED, TCP_SYN_RECV } from '../../src/linux/constants.ts';
import { inodeOf } from '../../src/linux/descriptors.ts';
import {
  type Connection,
  decodeConnection,
  decodeConnectionEnds,
  decodeTcpListener,
  dumpConnections,
  dumpTcpListeners,
  encodeTcpRequest,
} from '../../src/linux/tables/inet-diag.ts';
import { NetlinkError } from '../../src/linux/tables/netlink.ts';
import { descriptorOf } from '../../src/node/fields.ts';
import { until } from '../harness/wait.ts';
import { HALF_OPEN_IPV4, HALF_OPEN_IPV6, payloadOf } from './captured-dump.ts';
import { halfOpenTo, Loopback } from './loopback.ts';

for (const [family, number] of [
  ['IPv4', 2],
  ['IPv6', 10],
] as const) {
  test(`the request for half-open ${family} connections is an inet_diag_req_v2`, () => {
    const request = encodeTcpRequest(family, { states: 1 << TCP_SYN_RECV }, 0x01020304);
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

test('a request may name a port and an attribute', () => {
  const request = encodeTcpRequest('IPv4', { states: 0, port: 8080, extension: INET_DIAG_INFO }, 1);
  assert.deepEqual(
    { extensions: request.readUInt8(18), port: request.readUInt16BE(24) },
    { extensions: 2, port: 8080 },
  );
});

test('captured half-open connections read as they were', () => {
  assert.deepEqual(decodeConnectionEnds(payloadOf(HALF_OPEN_IPV4)), {
    localAddress: '127.0.0.1',
    localPort: 47_001,
    remoteAddress: '127.0.0.1',
    remotePort: 47_101,
  });
  assert.deepEqual(decodeConnectionEnds(payloadOf(HALF_OPEN_IPV6)), {
    localAddress: '::1',
    localPort: 47_002,
    remoteAddress: '::1',
    remotePort: 47_101,
  });
});

test('a half-open connection that is too short, or of another family, is refused', () => {
  const payload = payloadOf(HALF_OPEN_IPV4);
  assert.throws(() => decodeConnectionEnds(payload.subarray(0, 71)), { name: 'NetlinkError', fault: 'truncated' });
  payload.writeUInt8(1, 0);
  assert.throws(() => decodeConnectionEnds(payload), { name: 'NetlinkError', fault: 'error' });
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

test('a client of a deferred listener is not half-open any more once it has sent data', async () => {
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

test('a listener is in the table, by its inode, with its address and its limit', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  const found = dumpTcpListeners().find(({ inode }) => inode === inodeOf(fd));
  assert.equal(found?.address.family, 'IPv4');
  assert.ok((found?.limit ?? 0) > 0);
  assert.equal(found?.uid, process.getuid?.());
});

test('a connection is in the table with its unread bytes', async () => {
  await using loopback = new Loopback();
  const { server, port } = await loopback.startListener({}, { pauseOnConnect: true });
  const client = loopback.beginConnect({ host: '127.0.0.1', port });
  const [accepted]: net.Socket[] = await once(server, 'connection');
  client.write('seven..');
  assert.ok(accepted !== undefined);
  const inode = inodeOf(descriptorOf(accepted) ?? -1);
  const find = (): Connection | undefined =>
    dumpConnections(1 << TCP_ESTABLISHED).find((connection) => connection.inode === inode);
  await until('the seven bytes have come', () => find()?.unread === 7);
  const { localPort, state, moved } = find() ?? {};
  assert.deepEqual({ localPort, state }, { localPort: port, state: 1 });
  assert.deepEqual({ in: moved?.segmentsIn, out: moved?.segmentsOut }, { in: 1, out: 0 });
});

test('a payload that is too short, or of another family, is refused; no bytes make a decoder throw anything else', () => {
  for (const decode of [decodeTcpListener, decodeConnection, decodeConnectionEnds]) {
    assert.throws(() => decode(Buffer.alloc(10)), NetlinkError);
    fc.assert(
      fc.property(fc.constantFrom(0, 1, 2, 10), fc.uint8Array({ maxLength: 200 }), (family, rest) => {
        try {
          decode(Buffer.from([family, ...rest]));
        } catch (error) {
          assert.ok(error instanceof NetlinkError);
        }
      }),
    );
  }
  assert.throws(() => decodeTcpListener(Buffer.alloc(72, 0x55)), /address family 85/);
});

function sorted<Row extends { readonly remotePort: number }>(rows: readonly Row[]): readonly Row[] {
  return rows.toSorted((one, other) => one.remotePort - other.remotePort);
}
