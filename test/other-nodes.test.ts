import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { otherNodes } from './harness/other-nodes.ts';

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
  'lifecycle/held-listeners',
  'lifecycle/held-listeners-due',
  'lifecycle/lame-duck',
  'lifecycle/left-behind',
  'lifecycle/orders',
  'lifecycle/readiness',
  'lifecycle/supervisor',
  'lifecycle/uncaught',
  'lifecycle/inherited-listener',
];

/** Files of the oldest and of the newest of them alone, unless all is run: what lies between has had no surprise of its own. */
const OF_THE_ENDS = /^(lifecycle|close\/sharing)/;

for (const [at, { title, path, missing }] of otherNodes.entries()) {
  const isBetween = at > 0 && at < otherNodes.length - 1 && process.env.LASTCALL_FULL !== '1';
  suite(`on ${title}`, { skip: missing }, () => {
    for (const file of FILES.filter((name) => !isBetween || !OF_THE_ENDS.test(name))) {
      test(`every test of ${file} passes, and none is skipped`, { timeout: 120_000 }, async (t) => {
        const { code, output } = await runTests(path, file, t.signal);
        assert.equal(code, 0, output);
        assert.match(output, /^# pass [1-9]/m);
        assert.match(output, /^# skipped 0$/m, output);
      });
    }
  });
}

async function runTests(node: string, file: string, signal: AbortSignal): Promise<{ code: number; output: string }> {
  // A test runner of its own, not a part of this one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const program = fileURLToPath(new URL(`${file}.test.js`, import.meta.url));
  const child = spawn(node, ['--test', '--test-reporter=tap', program], {
    env,
    signal,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [code] = await once(child, 'close');
  return { code, output };
}
