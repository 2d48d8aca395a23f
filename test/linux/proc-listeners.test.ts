import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { parseTcp, parseUnix, readNamespaceTables } from '../../src/linux/tables/proc-listeners.ts';
import { Loopback } from './loopback.ts';

test('a listener of this namespace is read from /proc, by its inode', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  const found = readNamespaceTables(process.pid).listeners.find(({ inode }) => inode === inodeOf(fd));
  assert.ok(found?.address.family === 'IPv4');
  assert.equal(found.address.address, '127.0.0.1');
});

test('rows of IPv4 and of IPv6 are taken apart', () => {
  const v4 = parseTcp('   1: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000 0 4711 1 0');
  assert.deepEqual(v4?.listener, {
    inode: 4711,
    address: { family: 'IPv4', address: '127.0.0.1', port: 8080 },
    queued: 3,
    limit: 0,
    uid: 1000,
  });
  const v6 = parseTcp(
    '  0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 03 0:0 00:0 0 0 0 12 1 0',
  );
  const { localAddress, state } = v6?.local ?? {};
  assert.deepEqual({ localAddress, state }, { localAddress: '::1', state: 3 });
});

test('of Unix sockets those that listen, and have a name, are told', () => {
  assert.deepEqual(parseUnix('0000: 00000002 00000000 00010000 0001 01 21 /run/an app.sock')?.address, {
    family: 'Unix',
    path: '/run/an app.sock',
  });
  assert.deepEqual(parseUnix('0000: 00000002 00000000 00010000 0001 01 22 @name')?.address, {
    family: 'Unix',
    path: '\0name',
  });
  for (const row of [
    '0000: 00000002 00000000 00000000 0001 03 23 /run/x',
    '0000: 2 0 00010000 0002 01 24 /run/x',
    '0000: 2 0 00010000 0001 01 25',
  ])
    assert.equal(parseUnix(row), undefined);
});

test('no text makes the parsers throw', () => {
  fc.assert(
    fc.property(fc.string(), (line) => {
      parseTcp(line);
      parseUnix(line);
    }),
  );
});
