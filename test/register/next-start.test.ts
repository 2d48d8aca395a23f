import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeFolder } from '../harness/folders.ts';
import { prove } from '../harness/proof.ts';
import { commandsMissing, type FrameworkCommand, startFrameworkCommand } from './framework-command-driver.ts';
import { stopsWell } from './framework-command-suite.ts';

const command: FrameworkCommand = {
  framework: 'next',
  args: (port) => ['start', '--port', `${port}`, '--hostname', '127.0.0.1'],
  listens: /Ready in/,
  receiver: 'command',
};

// The exit code of Next's own listener of SIGTERM.
stopsWell('`next start`', command, 143);

suite('what `after` of Next has begun under `next start`', { skip: commandsMissing }, () => {
  const proof = prove('work that `after` of Next does when the response has ended');

  /** Whether its work, which takes a second after the response, is done when the process has ended. */
  async function isDone(env: Readonly<Record<string, string>>): Promise<boolean> {
    using folder = makeFolder();
    const file = join(folder.path, 'done');
    await using running = await startFrameworkCommand({ ...command, env: { ...env, AFTER_FILE: file } }, 'registered');
    const response = await fetch(`http://127.0.0.1:${running.port}/after`, { headers: { connection: 'close' } });
    assert.equal(await response.text(), 'answered\n');
    running.stop();
    await running.allEnded;
    return existsSync(file);
  }

  test('is done before the exit', async (t) => {
    assert.equal(await isDone({}), true);
    proof.held(t, { underWay: 1 });
  });

  test('control: with LASTCALL_LISTENER_WAIT=0s it is lost', async (t) => {
    assert.equal(await isDone({ LASTCALL_LISTENER_WAIT: '0s' }), false);
    proof.lost(t, 1);
  });
});
