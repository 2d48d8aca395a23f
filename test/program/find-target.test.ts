import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findHolders, findTarget, TargetError } from '../../src/program/find/find-target.ts';
import { ancestorsOf, findTree, topmostOf } from '../../src/program/find/process-tree.ts';
import { Loopback } from '../linux/loopback.ts';

const stat = (parent: number) => ({ state: 'S', parent, isKernelThread: false, startTime: 0 });
/** 1 ─ 10 ─ 20 ─ 30, and 1 ─ 11. */
const FAMILY = new Map([
  [1, stat(0)],
  [10, stat(1)],
  [11, stat(1)],
  [20, stat(10)],
  [30, stat(20)],
]);

function faultOf(text: string): string | undefined {
  try {
    findTarget(text);
    return undefined;
  } catch (error) {
    return error instanceof TargetError ? error.fault : String(error);
  }
}

test('a tree is a process and all below it, its ancestors are all above', () => {
  assert.deepEqual(findTree(10, FAMILY), new Set([10, 20, 30]));
  assert.deepEqual(ancestorsOf(30, FAMILY), [20, 10, 1]);
  assert.deepEqual(topmostOf([30, 20, 11], FAMILY), [20, 11]);
});

test('processes that are each other’s parents, as in a table that changed while it was read, end the walk', () => {
  const circle = new Map([
    [5, stat(6)],
    [6, stat(5)],
  ]);
  assert.deepEqual(ancestorsOf(5, circle), [6, 5]);
});

test('PID 1, this very process and those above it are refused; what is malformed or not there is told so', () => {
  assert.equal(faultOf('1'), 'refused');
  assert.equal(faultOf(String(process.pid)), 'refused');
  assert.equal(faultOf(String(process.ppid)), 'refused');
  assert.equal(faultOf('4194305'), 'not found');
  for (const text of ['', ':', ':x', 'nginx', '-1', '12 34', ':123456', '99999999999'])
    assert.equal(faultOf(text), 'malformed', text);
  assert.equal(faultOf('/no/such.sock'), 'not found');
  assert.equal(faultOf('@no-such-name'), 'not found');
});

test('who may not be stopped may be looked at', async () => {
  await using loopback = new Loopback();
  const { port } = await loopback.startListener();
  assert.equal(faultOf(`:${port}`), 'refused');
  assert.deepEqual(findHolders(`:${port}`), [process.pid]);
  assert.deepEqual(findHolders('1'), [1]);
  assert.throws(() => findHolders('4194305'), TargetError);
});
