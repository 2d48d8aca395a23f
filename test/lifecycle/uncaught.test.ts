import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { describeUncaught } from '../../src/lifecycle/signals/uncaught.ts';
import { startFixture } from '../harness/processes.ts';

import type { Ended } from '../harness/observed-program.ts';

const REGISTER = import.meta.resolve('lastcall/register');

/** Node puts the line of source, with a mark below it, before the stack of an error. */
const EXCERPT = /^(?:file:\/\/)?\/.+:\d+\n.*\n *\^\n\n/;

async function endOf(way: string, execArgv: readonly string[]): Promise<Ended> {
  await using program = startFixture('lifecycle/uncaught-program', { args: [way], execArgv });
  const { code, signal, stderr } = await program.ended;
  return { code, signal, stderr };
}

suite('the message of an uncaught error', () => {
  for (const way of ['error', 'type', 'cause', 'rejection']) {
    test(`is Node's own without the excerpt of the source, and the exit code is Node's: ${way}`, async () => {
      const [node, registered] = await Promise.all([endOf(way, []), endOf(way, ['--import', REGISTER])]);
      assert.match(node.stderr, EXCERPT);
      assert.deepEqual(registered, { ...node, stderr: node.stderr.replace(EXCERPT, '') });
      assert.equal(node.code, 1);
      assert.match(node.stderr, /Node\.js v\d/);
    });
  }

  test('of a value that is no error has the value, and how to find where it was thrown', () => {
    const hint = '(Use `node --trace-uncaught ...` to show where the exception was thrown)';
    assert.equal(describeUncaught('text'), `Uncaught:\n'text'\n${hint}\n\nNode.js ${process.version}\n`);
    assert.match(describeUncaught(undefined), /^Uncaught:\nundefined\n/);
  });

  test('begins with the error, whatever its stack is', () => {
    const error = new Error('lost');
    error.stack = 'Error: lost\n    at f (/no/such/file.js:3:4)';
    assert.match(describeUncaught(error), /^Error: lost\n/);
    error.stack = 'Error: lost';
    assert.match(describeUncaught(error), /^.*Error: lost\]?\n/);
  });
});
