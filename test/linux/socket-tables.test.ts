import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { NetlinkError } from '../../src/linux/tables/netlink.ts';
import {
  type Connection,
  decodeConnection,
  decodeTcpListener,
  decodeUnixListener,
  dumpConnections,
  dumpTcpListeners,
  dumpUnixListeners,
  encodeTcpRequest,
  encodeUnixListenersRequest,
} from '../../src/linux/tables/socket-tables.ts';
import { descriptorOf } from '../../src/node/fields.ts';
import { until } from '../harness/wait.ts';
import { Loopback } from './loopback.ts';

const ESTABLISHED = 1 << 1;

test('a listener is in the table, by its inode, with its address and its limit', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  const found = dumpTcpListeners().find(({ inode }) => inode === inodeOf(fd));
  assert.equal(found?.address.family, 'IPv4');
  assert.ok((found?.limit ?? 0) > 0);
  assert.equal(found?.uid, process.getuid?.());
});

test('an abstract Unix listener is in the table', async () => {
  const path = `\0lastcall-table-${process.pid}`;
  await using loopback = new Loopback();
  await loopback.startListener({ path });
  assert.ok(dumpUnixListeners().some(({ address }) => address.family === 'Unix' && address.path === path));
});

test('a connection is in the table with what nobody has read', async () => {
  await using loopback = new Loopback();
  const { server, port } = await loopback.startListener({}, { pauseOnConnect: true });
  const client = loopback.beginConnect({ host: '127.0.0.1', port });
  const [accepted]: net.Socket[] = await once(server, 'connection');
  client.write('seven..');
  assert.ok(accepted !== undefined);
  const inode = inodeOf(descriptorOf(accepted) ?? -1);
  const find = (): Connection | undefined =>
    dumpConnections(ESTABLISHED, { withInfo: true }).find((connection) => connection.inode === inode);
  await until('the seven bytes have come', () => find()?.unread === 7);
  const { localPort, state, lastReceived, lastSent } = find() ?? {};
  assert.deepEqual({ localPort, state }, { localPort: port, state: 1 });
  assert.ok(lastReceived !== undefined && lastSent !== undefined);
});

test('what is too short, or of another family, is refused; nothing else is thrown for any bytes', () => {
  for (const decode of [decodeTcpListener, decodeConnection, decodeUnixListener]) {
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
  assert.throws(() => decodeTcpListener(Buffer.alloc(72, 0x55)), /address family 85/);
});

test('the requests have the lengths that the kernel expects', () => {
  assert.equal(encodeTcpRequest('IPv4', { states: 1 << 10 }, 1).length, 16 + 56);
  assert.equal(encodeUnixListenersRequest(1).length, 16 + 24);
});
