import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findHolders, findTarget } from '../../src/program/find/find-target.ts';
import { ancestorsOf, findTree, topmostOf } from '../../src/program/find/process-tree.ts';
import { parseTarget, TargetError } from '../../src/program/find/target.ts';
import { Loopback } from '../linux/loopback.ts';

const stat = (parent: number) => ({
  name: 'app',
  state: 'S',
  threads: 1,
  parent,
  group: 1,
  session: 1,
  isKernelThread: false,
  startTime: 0,
});
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

test('a tree is a process and its descendants', () => {
  assert.deepEqual(findTree(10, FAMILY), new Set([10, 20, 30]));
  assert.deepEqual(ancestorsOf(30, FAMILY), [20, 10, 1]);
  assert.deepEqual(topmostOf([30, 20, 11], FAMILY), [20, 11]);
});

test('the search for ancestors ends even if processes are each other’s parents, as in a table that changed while it was read', () => {
  const circle = new Map([
    [5, stat(6)],
    [6, stat(5)],
  ]);
  assert.deepEqual(ancestorsOf(5, circle), [6, 5]);
});

test('PID 1, this process and its ancestors are refused; a malformed target and a missing one have their own faults', () => {
  assert.equal(faultOf('1'), 'refused');
  assert.equal(faultOf(String(process.pid)), 'refused');
  assert.equal(faultOf(String(process.ppid)), 'refused');
  assert.equal(faultOf('4194305'), 'not found');
  for (const text of [
    '',
    ':',
    ':x',
    'nginx',
    '-1',
    '12 34',
    ':123456',
    ':99999',
    '99999999999',
    '::1:80',
    '[127.0.0.1]:80',
    '1.2.3:80',
    '127.0.0.1',
    '127.0.0.1:',
    '[::1]',
    'localhost:80',
    '127.0.0.1:99999',
  ])
    assert.equal(faultOf(text), 'malformed', text);
  assert.equal(faultOf('/no/such.sock'), 'not found');
  assert.equal(faultOf('@no-such-name'), 'not found');
});

test('a target is parsed by its form', () => {
  assert.deepEqual(parseTarget('12345'), { kind: 'process', pid: 12_345 });
  assert.deepEqual(parseTarget(':65535'), { kind: 'port', port: 65_535 });
  assert.deepEqual(parseTarget('127.0.0.1:8080'), { kind: 'address', address: '127.0.0.1', port: 8_080 });
  for (const text of ['[::1]:80', '[0:0:0:0:0:0:0:1]:80', '[::1%lo]:80'])
    assert.deepEqual(parseTarget(text), { kind: 'address', address: '::1', port: 80 });
  for (const text of ['/run/app.sock', 'unix:/run/app.sock'])
    assert.deepEqual(parseTarget(text), { kind: 'path', path: '/run/app.sock' });
  for (const text of ['@name', 'unix:@name']) assert.deepEqual(parseTarget(text), { kind: 'path', path: '\0name' });
  assert.throws(() => parseTarget(':65536'), /^TargetError: Expected a port of at most 65535, got `:65536`$/);
});

test('a process that must not be stopped may be examined', async () => {
  await using loopback = new Loopback();
  const { port } = await loopback.startListener();
  assert.equal(faultOf(`:${port}`), 'refused');
  assert.deepEqual(findHolders(`:${port}`), [process.pid]);
  assert.deepEqual(findHolders('1'), [1]);
  assert.throws(() => findHolders('4194305'), TargetError);
});
