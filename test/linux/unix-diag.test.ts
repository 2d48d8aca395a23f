import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import fc from 'fast-check';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { NetlinkError } from '../../src/linux/tables/netlink.ts';
import {
  decodeUnixListener,
  decodeUnixQueue,
  dumpUnixListeners,
  encodeUnixListenersRequest,
  encodeUnixQueueRequest,
  readUnixQueue,
} from '../../src/linux/tables/unix-diag.ts';
import { payloadOf, UNIX_QUEUE, UNIX_QUEUE_INODE } from './captured-dump.ts';
import { Loopback } from './loopback.ts';

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

test('the request for all Unix listeners has the length that the kernel expects', () => {
  assert.equal(encodeUnixListenersRequest(1).length, 16 + 24);
});

test("a captured Unix listener's queue reads as it was, and only under its own inode", () => {
  const payload = payloadOf(UNIX_QUEUE);
  assert.equal(decodeUnixQueue(payload, UNIX_QUEUE_INODE), 1);
  assert.equal(decodeUnixQueue(payload, UNIX_QUEUE_INODE + 1), undefined);
});

test('a Unix answer without the lengths has no queue, and one that is too short is a fault', () => {
  const payload = payloadOf(UNIX_QUEUE);
  assert.equal(decodeUnixQueue(payload.subarray(0, 16), UNIX_QUEUE_INODE), undefined);
  assert.throws(() => decodeUnixQueue(payload.subarray(0, 15), UNIX_QUEUE_INODE), { fault: 'truncated' });
  assert.throws(() => decodeUnixQueue(payload.subarray(0, 24), UNIX_QUEUE_INODE), { fault: 'truncated' });
  // The attribute is there, but too short for the two lengths.
  payload.writeUInt16LE(8, 16);
  assert.equal(decodeUnixQueue(payload, UNIX_QUEUE_INODE), undefined);
});

test('a payload that is too short is refused; no bytes make a decoder throw anything else', () => {
  for (const decode of [decodeUnixListener, (payload: Buffer) => decodeUnixQueue(payload, 1)]) {
    assert.throws(() => decode(Buffer.alloc(10)), NetlinkError);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decode(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof NetlinkError);
        }
      }),
    );
  }
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

test('an abstract Unix listener is in the table', async () => {
  const path = `\0lastcall-table-${process.pid}`;
  await using loopback = new Loopback();
  await loopback.startListener({ path });
  assert.ok(dumpUnixListeners().some(({ address }) => address.family === 'Unix' && address.path === path));
});
