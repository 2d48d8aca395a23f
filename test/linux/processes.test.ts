import assert from 'node:assert/strict';
import { readFileSync, symlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { test } from 'node:test';
import { descendsFrom, hasChildren, readStat } from '../../src/linux/process/processes.ts';
import { needsNamespaces } from '../harness/needs.ts';
import { startCat } from './cat.ts';
import { Loopback } from './loopback.ts';
import { runChild } from './run-child.ts';

const OWN_PROC = ['--pid', '--fork', '--mount-proc'] as const;

test('a child counts while it is running, and after its end until it was waited for', async () => {
  assert.equal(hasChildren(), false);
  await using child = await startCat();
  assert.equal(hasChildren(), true);
  child.signal('SIGKILL');
  // Node learns of the end in a later turn of the loop.
  while (readStat(child.pid)?.state !== 'Z');
  assert.equal(hasChildren(), true);
  assert.equal((await child.ended).signal, 'SIGKILL', 'Node was not robbed of it');
  assert.equal(hasChildren(), false);
});

test('a process descends from itself, its parent and those before, and not from its children', async () => {
  await using child = await startCat();
  assert.equal(descendsFrom(child.pid, process.pid), true);
  assert.equal(descendsFrom(child.pid, process.ppid), true);
  assert.equal(descendsFrom(process.pid, process.pid), true);
  assert.equal(descendsFrom(process.pid, child.pid), false);
  assert.equal(descendsFrom(process.ppid, process.pid), false);
});

test('a process that has ended is no descendant', async () => {
  await using child = await startCat();
  child.signal('SIGTERM');
  await child.ended;
  assert.equal(descendsFrom(child.pid, process.pid), false);
});

test('a program whose name looks like the fields of a stat line still has its parent', async () => {
  await using loopback = new Loopback();
  const link = `${dirname(loopback.socketPath())}/a) S 1 (b`;
  symlinkSync('/bin/cat', link);
  await using child = await startCat(undefined, link);
  assert.match(readFileSync(`/proc/${child.pid}/stat`, 'latin1'), /\(a\) S 1 \(b\)/, basename(link));
  assert.equal(descendsFrom(child.pid, process.pid), true);
});

test('the child of process 1 descends from it, as in a container', { skip: needsNamespaces(...OWN_PROC) }, async () => {
  assert.deepEqual(await runChild('child-of-first-process', ['unshare', ...OWN_PROC]), { pid: 1, descends: true });
});
