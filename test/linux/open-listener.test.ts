import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { requireLibc, SystemCallError } from '../../src/linux/libc.ts';
import { openListener } from '../../src/linux/open-listener.ts';
import { isListening, localAddress, type SocketAddress } from '../../src/linux/sockets.ts';
import { socketPath } from './loopback.ts';

function open(t: TestContext, address: SocketAddress): number {
  const fd = openListener(address, 16);
  t.after(() => requireLibc().close(fd));
  return fd;
}

test('clients get in at each kind of address', async (t) => {
  const path = socketPath(t);
  const addresses: readonly SocketAddress[] = [
    { family: 'IPv4', address: '127.0.0.1', port: 0 },
    { family: 'IPv6', address: '::1', port: 0 },
    { family: 'IPv6', address: '::', port: 0 },
    { family: 'Unix', path },
  ];
  for (const address of addresses) {
    const fd = open(t, address);
    assert.ok(isListening(fd));
    const bound = localAddress(fd);
    const target =
      bound?.family === 'Unix' ? { path: bound.path } : { port: bound?.port ?? 0, host: bound?.address ?? '' };
    const client = net.connect(target);
    await once(client, 'connect');
    client.destroy();
  }
});

test('an abstract name is bound as it is written', (t) => {
  const path = `\0lastcall-open-${process.pid}`;
  assert.deepEqual(localAddress(open(t, { family: 'Unix', path })), { family: 'Unix', path });
});

test('an address that is taken, or not ours, is refused with the kernel’s word, and nothing is left open', (t) => {
  const fd = open(t, { family: 'IPv4', address: '127.0.0.1', port: 0 });
  const taken = localAddress(fd);
  assert.ok(taken !== undefined);
  assert.throws(() => openListener(taken, 1), new SystemCallError('bind', 98));
  assert.throws(() => openListener({ family: 'IPv4', address: '192.0.2.1', port: 0 }, 1), { code: 'EADDRNOTAVAIL' });
});

test('no program that is started later has it', (t) => {
  const fd = open(t, { family: 'IPv4', address: '127.0.0.1', port: 0 });
  const { stdout } = spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
  assert.ok(!stdout.includes(`socket:[${inodeOf(fd)}]`));
});

test('an IPv6 address in any of its forms is the same to the kernel', (t) => {
  // 100::/64 leads nowhere (RFC 6666): that it is not ours is the kernel's answer to the right bytes.
  const forms = ['::1', '0:0:0:0:0:0:0:1', '0:0::1', '::0.0.0.1', '0000:0000:0000:0000:0000:0000:0000:0001'];
  for (const address of forms) {
    const bound = localAddress(open(t, { family: 'IPv6', address, port: 0 }));
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
