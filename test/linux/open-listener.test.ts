import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { requireLibc, SystemCallError } from '../../src/linux/libc.ts';
import { openListener } from '../../src/linux/open-listener.ts';
import { isListening, localAddress, type SocketAddress } from '../../src/linux/sockets.ts';
import { startCommand } from '../harness/processes.ts';
import type { Scope } from '../harness/scope.ts';
import { Loopback } from './loopback.ts';

function open(scope: Scope, address: SocketAddress): number {
  const fd = openListener(address, 16);
  scope.defer(() => requireLibc().close(fd));
  return fd;
}

test('clients get in at each kind of address', async () => {
  await using loopback = new Loopback();
  const path = loopback.socketPath();
  const addresses: readonly SocketAddress[] = [
    { family: 'IPv4', address: '127.0.0.1', port: 0 },
    { family: 'IPv6', address: '::1', port: 0 },
    { family: 'IPv6', address: '::', port: 0 },
    { family: 'Unix', path },
  ];
  for (const address of addresses) {
    const fd = open(loopback, address);
    assert.ok(isListening(fd));
    const bound = localAddress(fd);
    const target =
      bound?.family === 'Unix' ? { path: bound.path } : { port: bound?.port ?? 0, host: bound?.address ?? '' };
    await loopback.connect(target);
  }
});

test('an abstract name is bound as it is written', async () => {
  await using loopback = new Loopback();
  const path = `\0lastcall-open-${process.pid}`;
  assert.deepEqual(localAddress(open(loopback, { family: 'Unix', path })), { family: 'Unix', path });
});

test('an address that is in use, or not ours, fails with the kernel’s error, and leaves nothing open', async () => {
  await using loopback = new Loopback();
  const fd = open(loopback, { family: 'IPv4', address: '127.0.0.1', port: 0 });
  const taken = localAddress(fd);
  assert.ok(taken !== undefined);
  assert.throws(() => openListener(taken, 1), new SystemCallError('bind', 98));
  assert.throws(() => openListener({ family: 'IPv4', address: '192.0.2.1', port: 0 }, 1), { code: 'EADDRNOTAVAIL' });
});

test('programs that start later do not inherit it', async () => {
  await using loopback = new Loopback();
  const fd = open(loopback, { family: 'IPv4', address: '127.0.0.1', port: 0 });
  await using listing = startCommand(['/bin/ls', '-l', '/proc/self/fd']);
  const { stdout } = await listing.ended;
  assert.ok(!stdout.includes(`socket:[${inodeOf(fd)}]`));
});

test('an IPv6 address in any of its forms is the same to the kernel', async () => {
  await using loopback = new Loopback();
  // 100::/64 leads nowhere (RFC 6666): that it is not ours is the kernel's answer to the right bytes.
  const forms = ['::1', '0:0:0:0:0:0:0:1', '0:0::1', '::0.0.0.1', '0000:0000:0000:0000:0000:0000:0000:0001'];
  for (const address of forms) {
    const bound = localAddress(open(loopback, { family: 'IPv6', address, port: 0 }));
    assert.ok(bound?.family === 'IPv6' && bound.address === '::1', address);
  }
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      try {
        requireLibc().close(openListener({ family: 'IPv6', address, port: 0 }, 1));
      } catch (error) {
        assert.ok(error instanceof SystemCallError, address);
      }
    }),
  );
  assert.throws(() => openListener({ family: 'IPv6', address: 'fe80::1%lo', port: 0 }, 1), /not an IPv6 address/);
});
