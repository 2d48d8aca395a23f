import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePassed, passedToUs } from '../../src/program/find/passed-to.ts';

const TREE = new Set([10, 11]);

for (const { title, environment, passed } of [
  { title: 'two for this process', environment: 'A=b\0LISTEN_FDS=2\0LISTEN_PID=10\0', passed: [3, 4] },
  { title: 'those that nobody says for whom they are', environment: 'LISTEN_FDS=1\0', passed: [3] },
  { title: 'those for a process outside of the tree', environment: 'LISTEN_FDS=1\0LISTEN_PID=99\0', passed: [3] },
  { title: 'none that are for another process of the tree', environment: 'LISTEN_FDS=1\0LISTEN_PID=11\0', passed: [] },
  { title: 'none where the count is none', environment: 'LISTEN_FDS=-1\0LISTEN_PID=10\0', passed: [] },
  { title: 'none where the count is larger than any service has', environment: 'LISTEN_FDS=99999\0', passed: [] },
]) {
  test(`the environment of a process tells of ${title}`, () => {
    assert.deepEqual(parsePassed(environment, 10, TREE), passed);
  });
}

test('what was passed to this process is passed on only where LISTEN_PID names it', () => {
  assert.deepEqual(passedToUs({ LISTEN_FDS: '2', LISTEN_PID: String(process.pid) }), [3, 4]);
  assert.deepEqual(passedToUs({ LISTEN_FDS: '2', LISTEN_PID: '1' }), []);
  assert.deepEqual(passedToUs({}), []);
});
