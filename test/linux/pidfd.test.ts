import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { requireLibc, SystemCallError } from '../../src/linux/libc.ts';
import { type HeldProcess, holdProcess } from '../../src/linux/process/pidfd.ts';
import { readStat } from '../../src/linux/process/processes.ts';
import { isListening } from '../../src/linux/sockets.ts';
import { startCat } from './cat.ts';
import { Loopback } from './loopback.ts';
import { startCommand } from '../harness/processes.ts';
import { needsRoot } from '../harness/needs.ts';
import { runChild } from './run-child.ts';

test('a held process is running until it has ended, waited for or not', async () => {
  await using child = await startCat();
  using held = hold(child.pid);
  assert.equal(held.isRunning(), true);
  assert.equal(held.signal(0), true);
  assert.equal(held.signal('SIGTERM'), true);
  // Node waits for it in a later turn of the loop.
  while (readStat(child.pid)?.state !== 'Z');
  assert.equal(held.isRunning(), false);
  assert.equal((await child.ended).signal, 'SIGTERM');
  assert.equal(held.isRunning(), false);
  assert.equal(held.signal(0), false);
  assert.equal(held.signal('SIGTERM'), false);
});

test('a listener of another process is copied: the same socket, close-on-exec', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  await using child = await startCat(fd);
  using held = hold(child.pid);
  const copy = held.copyDescriptor(3);
  loopback.defer(() => requireLibc().close(copy));
  assert.equal(inodeOf(copy), inodeOf(fd));
  assert.equal(isListening(copy), true);
  // A program that is started now has it only where it was given to it.
  await using listing = startCommand(['/bin/ls', '-l', '/proc/self/fd']);
  const { stdout: listed } = await listing.ended;
  assert.ok(!listed.includes(`socket:[${inodeOf(copy)}]`), listed);
});

test('a process or a descriptor that does not exist cannot be copied', async () => {
  await using child = await startCat();
  using held = hold(child.pid);
  assert.equal(
    codeOf(() => held.copyDescriptor(1_000)),
    'EBADF',
  );
  child.signal('SIGTERM');
  await child.ended;
  assert.equal(
    codeOf(() => holdProcess(child.pid)),
    'ESRCH',
  );
  assert.equal(
    codeOf(() => held.copyDescriptor(0)),
    'ESRCH',
  );
});

test('a second close does not close another file’s descriptor', async () => {
  await using loopback = new Loopback();
  await using child = await startCat();
  const held = holdProcess(child.pid);
  held.close();
  const { fd } = await loopback.startListener();
  held.close();
  assert.ok(isListening(fd));
});

test('without rights another user’s process can neither be signalled nor copied from', {
  skip: needsRoot,
}, async () => {
  assert.deepEqual(await runChild('pidfd-as-nobody'), { signal: 'EPERM', copy: 'EPERM' });
});

/** For `using`. */
function hold(pid: number): HeldProcess & Disposable {
  const held = holdProcess(pid);
  return { ...held, [Symbol.dispose]: () => held.close() };
}

function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return error instanceof SystemCallError ? error.code : String(error);
  }
}
