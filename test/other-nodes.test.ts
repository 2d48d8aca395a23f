import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isFull } from './harness/counts.ts';
import { otherNodes } from './harness/other-nodes.ts';
import { type Ended, startCommand } from './harness/processes.ts';
import { within } from './harness/wait.ts';

/** So long one file may take on a busy machine, in milliseconds. */
const LONGEST = 240_000;

/** What depends on fields and events that Node does not document, and might differ from one version to the next. */
const FILES = [
  'close/calls',
  'close/kinds-of-server',
  'close/odd-connections',
  'close/time-is-up',
  'close/sharing',
  'close/sharing-in-doubt',
  'close/unix',
  'close/waiting-clients',
  'close/without-koffi',
  'connection/http1',
  'connection/http1-ending',
  'connection/registry',
  'lifecycle/cluster-workers',
  'lifecycle/program-listeners',
  'lifecycle/program-listeners-due',
  'lifecycle/lame-duck',
  'lifecycle/left-behind',
  'lifecycle/orders',
  'lifecycle/orders-of-programs',
  'lifecycle/readiness',
  'lifecycle/supervisor',
  'lifecycle/uncaught',
  'lifecycle/inherited-listener',
];

/** Files of the oldest and of the newest of them alone, unless all is run: what lies between has had no surprise of its own. */
const OF_THE_ENDS = /^(lifecycle|close\/sharing)/;

for (const [at, { title, path, missing }] of otherNodes.entries()) {
  const isBetween = at > 0 && at < otherNodes.length - 1 && !isFull;
  suite(`on ${title}`, { skip: missing }, () => {
    for (const file of FILES.filter((name) => !isBetween || !OF_THE_ENDS.test(name))) {
      test(`every test of ${file} passes, and none is skipped`, async () => {
        const { code, stdout, stderr } = await runTests(path, file);
        assert.equal(code, 0, stdout + stderr);
        assert.match(stdout, /^# pass [1-9]/m);
        assert.match(stdout, /^# skipped 0$/m, stdout);
      });
    }
  });
}

async function runTests(node: string, file: string): Promise<Ended> {
  const program = fileURLToPath(new URL(`${file}.test.js`, import.meta.url));
  await using runner = startCommand([node, '--test', '--test-reporter=tap', program], {
    // A test runner of its own, not a part of this one.
    env: { NODE_TEST_CONTEXT: undefined },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return await within(`the end of ${file}`, runner.ended, LONGEST);
}
