import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseEnvironment } from '../../src/program/find/environment.ts';
import { passedIn, passedToUs } from '../../src/program/find/passed-to.ts';

const TREE = new Set([10, 11]);

for (const { title, environment, passed } of [
  { title: 'two descriptors for this process', environment: 'A=b\0LISTEN_FDS=2\0LISTEN_PID=10\0', passed: [3, 4] },
  { title: 'descriptors without LISTEN_PID', environment: 'LISTEN_FDS=1\0', passed: [3] },
  { title: 'descriptors for a process outside of the tree', environment: 'LISTEN_FDS=1\0LISTEN_PID=99\0', passed: [3] },
  {
    title: 'no descriptors that are for another process of the tree',
    environment: 'LISTEN_FDS=1\0LISTEN_PID=11\0',
    passed: [],
  },
  { title: 'no descriptors if the count is invalid', environment: 'LISTEN_FDS=-1\0LISTEN_PID=10\0', passed: [] },
  {
    title: 'no descriptors if the count is larger than any service has',
    environment: 'LISTEN_FDS=99999\0',
    passed: [],
  },
]) {
  test(`the environment of a process passes ${title}`, () => {
    assert.deepEqual(passedIn(parseEnvironment(environment), 10, TREE), passed);
  });
}

test('descriptors passed to this process are passed on only if LISTEN_PID names it', () => {
  assert.deepEqual(passedToUs({ LISTEN_FDS: '2', LISTEN_PID: String(process.pid) }), [3, 4]);
  assert.deepEqual(passedToUs({ LISTEN_FDS: '2', LISTEN_PID: '1' }), []);
  assert.deepEqual(passedToUs({}), []);
});
