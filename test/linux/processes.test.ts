import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, symlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { test } from 'node:test';
import { descendsFrom, hasChildren, readStat } from '../../src/linux/processes.ts';
import { startCat } from './cat.ts';
import { socketPath } from './loopback.ts';
import { NEEDS_ROOT, runChild } from './run-child.ts';

test('a child that lives, or has ended and was not waited for, is a child', async (t) => {
  assert.equal(hasChildren(), false);
  const child = await startCat(t);
  assert.equal(hasChildren(), true);
  child.kill('SIGKILL');
  // Node learns of the end in a later turn of the loop.
  while (readStat(child.pid!)?.state !== 'Z');
  assert.equal(hasChildren(), true);
  const [, signal]: unknown[] = await once(child, 'exit');
  assert.equal(signal, 'SIGKILL', 'Node was not robbed of it');
  assert.equal(hasChildren(), false);
});

test('a process descends from itself, its parent and those before, and not from its children', async (t) => {
  const child = await startCat(t);
  assert.equal(descendsFrom(child.pid!, process.pid), true);
  assert.equal(descendsFrom(child.pid!, process.ppid), true);
  assert.equal(descendsFrom(process.pid, process.pid), true);
  assert.equal(descendsFrom(process.pid, child.pid!), false);
  assert.equal(descendsFrom(process.ppid, process.pid), false);
});

test('a process that has ended descends from nobody', async (t) => {
  const child = await startCat(t);
  child.kill();
  await once(child, 'exit');
  assert.equal(descendsFrom(child.pid!, process.pid), false);
});

test('a program whose name looks like the fields of a stat line has its parent all the same', async (t) => {
  const link = `${dirname(socketPath(t))}/a) S 1 (b`;
  symlinkSync(execFileSync('sh', ['-c', 'command -v cat'], { encoding: 'utf8' }).trim(), link);
  const child = await startCat(t, undefined, link);
  assert.match(readFileSync(`/proc/${child.pid}/stat`, 'latin1'), /\(a\) S 1 \(b\)/, basename(link));
  assert.equal(descendsFrom(child.pid!, process.pid), true);
});

test('the child of process 1 descends from it, as in a container', { skip: NEEDS_ROOT }, () => {
  const below = ['unshare', '--pid', '--fork', '--mount-proc'];
  assert.deepEqual(runChild('child-of-first-process', below), { pid: 1, descends: true });
});
