import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, symlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { test, type TestContext } from 'node:test';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { descendsFrom, findHolders, hasChildren, type HolderSearch } from '../../src/linux/holders.ts';
import { socketPath, startListener } from './loopback.ts';
import { NEEDS_ROOT, runChild } from './run-child.ts';

const ENOUGH = { limit: 60_000, onlyYounger: false };

test('a child that inherited the socket holds it; others do not', async (t) => {
  const { fd } = await startListener(t);
  await startCat(t);
  assert.deepEqual(findHolders(inodeOf(fd), ENOUGH).holders, []);
  const heir = await startCat(t, fd);
  const search = findHolders(inodeOf(fd), ENOUGH);
  assert.deepEqual({ holders: search.holders, finished: search.finished }, { holders: [heir.pid], finished: true });
  heir.kill();
  await once(heir, 'exit');
  assert.deepEqual(findHolders(inodeOf(fd), ENOUGH).holders, []);
});

test('a search without time is not finished', async (t) => {
  const { fd } = await startListener(t);
  const { holders, finished } = findHolders(inodeOf(fd), { ...ENOUGH, limit: 0 });
  assert.deepEqual({ holders, finished }, { holders: [], finished: false });
});

test('the processes of another user are unreadable to nobody', { skip: NEEDS_ROOT }, () => {
  const search = runChild('holders-as-nobody') as HolderSearch;
  assert.equal(search.finished, true);
  assert(search.unreadable.includes(process.pid));
});

test('a child that lives, or has ended and was not waited for, is a child', async (t) => {
  assert.equal(hasChildren(), false);
  const child = await startCat(t);
  assert.equal(hasChildren(), true);
  child.kill('SIGKILL');
  // Node learns of the end in a later turn of the loop.
  while (stateOf(child.pid!) !== 'Z');
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

/** A process that lives until its input ends, perhaps with one more descriptor of ours. */
async function startCat(t: TestContext, inherited?: number, program = 'cat'): Promise<ChildProcess> {
  const stdio: StdioOptions = ['pipe', 'ignore', 'ignore', ...(inherited === undefined ? [] : [inherited])];
  const child = spawn(program, { stdio });
  t.after(async () => {
    if (child.kill()) await once(child, 'exit');
  });
  await once(child, 'spawn');
  return child;
}

function stateOf(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat[stat.lastIndexOf(')') + 2];
}
