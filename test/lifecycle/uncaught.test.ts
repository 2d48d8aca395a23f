import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { describeUncaught } from '../../src/lifecycle/signals/uncaught-message.ts';
import { startFixture } from '../harness/processes.ts';

import type { Ended } from '../harness/observed-program.ts';

const REGISTER = import.meta.resolve('lastcall/register');

async function lastWordsOf(way: string, execArgv: readonly string[]): Promise<Ended> {
  await using program = startFixture('lifecycle/uncaught-program', { args: [way], execArgv });
  const { code, signal, stderr } = await program.ended;
  return { code, signal, stderr };
}

suite('the message of an uncaught error', () => {
  for (const way of ['error', 'type', 'cause', 'rejection']) {
    test(`is Node's own, word for word, and the exit code, too: ${way}`, async () => {
      const [node, registered] = await Promise.all([lastWordsOf(way, []), lastWordsOf(way, ['--import', REGISTER])]);
      assert.deepEqual(registered, node);
      assert.equal(node.code, 1);
      assert.match(node.stderr, /Node\.js v\d/);
    });
  }

  test('of what is no error has the value, and how to find where it was thrown', () => {
    const hint = '(Use `node --trace-uncaught ...` to show where the exception was thrown)';
    assert.equal(describeUncaught('text', false), `Uncaught:\n'text'\n${hint}\n\nNode.js ${process.version}\n`);
    assert.match(describeUncaught(undefined, true), /^Uncaught:\nundefined\n/);
  });

  test('comes without a place where the source cannot be read', () => {
    const error = new Error('lost');
    error.stack = 'Error: lost\n    at f (/no/such/file.js:3:4)';
    assert.match(describeUncaught(error, false), /^Error: lost\n/);
    error.stack = 'Error: lost';
    assert.match(describeUncaught(error, false), /^.*Error: lost\]?\n/);
  });
});
