import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runChild } from './run-child.ts';

test('an orphan is adopted and waited for, and no child of Node’s own', async () => {
  assert.deepEqual(await runChild('reap-orphans'), { isAdopted: true, reaped: 1, isGone: true, signal: 'SIGKILL' });
});
