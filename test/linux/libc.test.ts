import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import { test } from 'node:test';
import { bindFunction, check, type Libc, loadLibc, requireLibc, SystemCallError } from '../../src/linux/libc.ts';
import { readOption } from '../../src/linux/sockets.ts';

const EBADF = 9;

test('every function of the C library is found on Linux', () => {
  const loaded = loadLibc();
  assert.equal(loaded.available ? '' : `${loaded.reason}: ${String(loaded.cause)}`, '');
  assert.equal(loadLibc(), loaded);
});

const FAILING: readonly (readonly [string, (libc: Libc) => number])[] = [
  ['listen', (libc) => libc.listen(-1, 1)],
  ['shutdown', (libc) => libc.shutdown(-1, 0)],
  ['getsockopt', (libc) => libc.getsockopt(-1, 1, 1, Buffer.alloc(4), Buffer.alloc(4))],
  ['setsockopt', (libc) => libc.setsockopt(-1, 1, 1, null, 0)],
  ['getsockname', (libc) => libc.getsockname(-1, Buffer.alloc(16), Buffer.alloc(4))],
  ['send', (libc) => libc.send(-1, Buffer.alloc(1), 1, 0)],
  ['recv', (libc) => libc.recv(-1, Buffer.alloc(1), 1, 0)],
  ['ioctl', (libc) => libc.ioctl(-1, 0, Buffer.alloc(4))],
  ['close', (libc) => libc.close(-1)],
];

for (const [syscall, call] of FAILING) {
  test(`${syscall} on an invalid descriptor throws EBADF under its manual page's name`, () => {
    assert.throws(
      () => check(syscall, call(requireLibc())),
      (error) => {
        assert(error instanceof SystemCallError);
        const { name, code, errno, message } = error;
        assert.deepEqual(
          { syscall: error.syscall, name, code, errno, message },
          { syscall, name: 'SystemCallError', code: 'EBADF', errno: EBADF, message: `${syscall}: EBADF` },
        );
        return true;
      },
    );
  });
}

test('a failed option names getsockopt', () => {
  assert.throws(() => readOption(-1, 1, 1, Buffer.alloc(4)), { syscall: 'getsockopt', code: 'EBADF' });
});

test('socket and waitid set their own errno', () => {
  assert.throws(() => check('socket', requireLibc().socket(-1, 1, 0)), { syscall: 'socket', code: 'EAFNOSUPPORT' });
  assert.throws(() => check('waitid', requireLibc().waitid(-1, 0, Buffer.alloc(128), 4)), { code: 'EINVAL' });
});

test('a result other than -1 is passed on', () => {
  assert.equal(check('recv', 0), 0);
  assert.equal(check('recv', 17), 17);
});

test('an errno without a name is given by its number', () => {
  assert.equal(new SystemCallError('socket', 4000).code, 'errno 4000');
  assert.equal(new SystemCallError('socket', -1).code, 'errno -1');
});

test('any function is bound by its declaration', () => {
  assert.equal(bindFunction('int getpid(void)')(), process.pid);
});

test("a buffer's address is its first byte's, and a pointer is as long as the machine says", () => {
  const libc = requireLibc();
  const bytes = Buffer.alloc(64);
  assert.equal(libc.address(bytes.subarray(24)) - libc.address(bytes), 24n);
  assert(libc.address(bytes) > 0n);
  assert.equal(libc.pointerSize, process.arch === 'arm' || process.arch === 'ia32' ? 4 : 8);
});

test('the machine is little-endian, as every encoder assumes', () => {
  assert.equal(endianness(), 'LE');
});
