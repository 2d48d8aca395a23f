import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { requireLibc, SystemCallError } from '../../src/linux/libc.ts';
import { type HeldProcess, holdProcess } from '../../src/linux/pidfd.ts';
import { readStat } from '../../src/linux/processes.ts';
import { isListening } from '../../src/linux/sockets.ts';
import { startCat } from './cat.ts';
import { startListener } from './loopback.ts';
import { NEEDS_ROOT, runChild } from './run-child.ts';

test('a process is held until it has ended, waited for or not', async (t) => {
  const child = await startCat(t);
  const held = holdProcess(child.pid ?? 0);
  t.after(() => held.close());
  assert.equal(held.isRunning(), true);
  assert.equal(held.signal(0), true);
  assert.equal(held.signal('SIGTERM'), true);
  // Node waits for it in a later turn of the loop.
  while (readStat(child.pid ?? 0)?.state !== 'Z');
  assert.equal(held.isRunning(), false);
  const [, signal]: unknown[] = await once(child, 'exit');
  assert.equal(signal, 'SIGTERM');
  assert.deepEqual([held.isRunning(), held.signal(0), held.signal('SIGTERM')], [false, false, false]);
});

test('a listener of another process is copied: the same socket, close-on-exec', async (t) => {
  const { fd } = await startListener(t);
  const child = await startCat(t, fd);
  const held = holdProcess(child.pid ?? 0);
  t.after(() => held.close());
  const copy = held.copyDescriptor(3);
  t.after(() => requireLibc().close(copy));
  assert.deepEqual([inodeOf(copy), isListening(copy)], [inodeOf(fd), true]);
  // A program that is started now has it only where it was given to it.
  const { stdout } = spawn('ls', ['-l', '/proc/self/fd'], { stdio: ['ignore', 'pipe', 'ignore'] });
  let listed = '';
  for await (const part of stdout) listed += String(part);
  assert.ok(!listed.includes(`socket:[${inodeOf(copy)}]`), listed);
});

test('what is not there cannot be had: no process, no descriptor', async (t) => {
  const child = await startCat(t);
  const held = holdProcess(child.pid ?? 0);
  t.after(() => held.close());
  assert.equal(
    codeOf(() => held.copyDescriptor(1_000)),
    'EBADF',
  );
  child.kill();
  await once(child, 'exit');
  assert.equal(
    codeOf(() => holdProcess(child.pid ?? 0)),
    'ESRCH',
  );
  assert.equal(
    codeOf(() => held.copyDescriptor(0)),
    'ESRCH',
  );
});

test('one that is let go of twice takes nobody else’s descriptor along', async (t) => {
  const held: HeldProcess = holdProcess((await startCat(t)).pid ?? 0);
  held.close();
  const { fd } = await startListener(t);
  held.close();
  assert.ok(isListening(fd));
});

test('without rights another user’s process is neither signalled nor copied from', { skip: NEEDS_ROOT }, () => {
  assert.deepEqual(runChild('pidfd-as-nobody'), { signal: 'EPERM', copy: 'EPERM' });
});

function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return error instanceof SystemCallError ? error.code : String(error);
  }
}
