// LISTEN_PIDFDID and LISTEN_FDNAMES of an activator, for the program below `lastcall run` and for a Node service.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ownProcessId } from '../../../src/linux/process/pidfd.ts';
import { MAIN } from '../../harness/lastcall-command.ts';
import { needsPrograms } from '../../harness/needs.ts';
import { freePort } from '../../harness/ports.ts';
import { startCommand } from '../../harness/processes.ts';

const PYTHON = '/usr/bin/python3';
const ACTIVATE = fileURLToPath(new URL('../../../../test/program/programs/activate.py', import.meta.url));
const skip = needsPrograms(PYTHON) || (ownProcessId() === undefined ? 'needs pidfs (Linux 6.9)' : false);

/** What the program sees: how many descriptors, their names, and whose number LISTEN_PIDFDID is. */
const SEEN = 'echo "fds ${LISTEN_FDS-none} names ${LISTEN_FDNAMES-none} id ${LISTEN_PIDFDID-none}"';

async function printed(whose: 'own' | 'other', ...command: readonly string[]): Promise<string> {
  await using running = startCommand([PYTHON, ACTIVATE, whose, ...command]);
  const { stdout, stderr } = await running.ended;
  return `${stdout}${stderr}`.trim();
}

test('run passes on a listener without the number of its own process, which is not the program’s', {
  skip,
}, async () => {
  const line = [process.execPath, MAIN, 'run', '--', 'sh', '-c', SEEN];
  assert.equal(await printed('own', ...line), 'fds 1 names web id none');
});

test('control: without run the program sees the number', { skip }, async () => {
  assert.match(await printed('own', 'sh', '-c', SEEN), /^fds 1 names web id \d+$/);
});

test('run gives each descriptor a name if one of them has a name', { skip }, async () => {
  const line = [process.execPath, MAIN, 'run', '--listen', `tcp:127.0.0.1:${await freePort()}`, '--', 'sh', '-c', SEEN];
  assert.equal(await printed('own', ...line), 'fds 2 names web:unknown id none');
});

test('run passes on nothing that was meant for an earlier process with its PID', { skip }, async () => {
  const line = [process.execPath, MAIN, 'run', '--', 'sh', '-c', SEEN];
  assert.equal(await printed('other', ...line), 'fds none names none id none');
});

const TAKE = `import { inheritedListener } from 'lastcall'; console.log(JSON.stringify(inheritedListener('web') ?? 'none'));`;

test('a Node service takes a listener that was passed to it', { skip }, async () => {
  const line = [process.execPath, '--input-type=module', '-e', TAKE];
  assert.equal(await printed('own', ...line), '{"fd":3}');
});

test('a Node service takes none that was passed to an earlier process with its PID, and says so', {
  skip,
}, async () => {
  const line = [process.execPath, '--input-type=module', '-e', TAKE];
  assert.match(await printed('other', ...line), /^"none"\n.*LISTEN_PIDFDID is \d+, and this process is \d+/s);
});
