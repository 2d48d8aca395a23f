import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findTree } from '../../src/program/find/process-tree.ts';
import { freePort } from '../harness/ports.ts';
import { isAlive } from '../harness/processes.ts';
import { runForeign } from '../program/foreign-program-driver.ts';

test('run with 1,000 descendants shuts the gate, and leaves none of them behind', async (t) => {
  const target = { port: await freePort(), host: '127.0.0.1' };
  await using running = await runForeign({ listen: [target], grandchildren: 1_000 });
  const tree = [...findTree(running.program)];
  assert.ok(tree.length > 1_000);
  running.signal('SIGTERM');
  const { ended, report } = await running.finished;
  const { code, stderr } = ended;
  assert.deepEqual({ code, gate: report?.listeners[0]?.gate }, { code: 0, gate: 'refuse' }, stderr);
  assert.deepEqual(tree.filter(isAlive), []);
  t.diagnostic(`gate shut after ${report?.listeners[0]?.shutAfter?.toFixed(1)} ms`);
});
