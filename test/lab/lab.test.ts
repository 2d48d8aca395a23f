import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { forkNode, startCommand } from '../harness/processes.ts';
import { within } from '../harness/wait.ts';
import { processesIn } from './linux/namespace.ts';
import { labMissing, openLab } from './lab.ts';
import { startLabServer } from './start-lab-server.ts';

const options = { skip: labMissing };
const forgottenLab = fileURLToPath(new URL('./forgotten-lab.js', import.meta.url));

test('nothing of a lab is left once it is closed', options, async () => {
  await using lab = await openLab();
  const server = await startLabServer(lab.server, 8080);
  // A process that the lab did not start itself, and that outlives the one that did.
  const shell = startCommand(['sh', '-c', 'sleep 1000 >/dev/null & echo started'], {
    host: lab.client,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await within('the end of the shell', shell.ended);
  const names = [lab.client, lab.server].map(({ namespace }) => readlinkSync(namespace));
  assert.equal(
    processesIn(names).length,
    3,
    'the server, the sleep, and the wire process, which is in the second namespace',
  );
  await lab.close();
  assert.deepEqual(processesIn(names), []);
  assert.equal(existsSync(lab.client.namespace), false);
  assert.equal((await server.ended).signal, 'SIGKILL');
});

test('a lab is closed at the end of its scope, and closing it twice is no mistake', options, async () => {
  let namespace = '';
  {
    await using lab = await openLab();
    namespace = lab.server.namespace;
    assert.ok(existsSync(namespace));
    await lab.close();
  }
  assert.equal(existsSync(namespace), false);
});

test('labs side by side do not meet', options, async () => {
  await using one = await openLab();
  await using other = await openLab();
  await startLabServer(one.server, 8080);
  await startLabServer(other.server, 8080);
  assert.notEqual(readlinkSync(one.server.namespace), readlinkSync(other.server.namespace));
});

test('nothing of a lab is left when its test is killed', options, async () => {
  await using forgotten = forkNode<{ readonly namespace: string }>(forgottenLab, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const namespace = await forgotten.next('namespace');
  const name = readlinkSync(namespace);
  assert.ok(processesIn([name]).length > 0);
  const { stderr } = forgotten.child;
  assert.ok(stderr);
  // Every process of the lab has this pipe for its standard error: it ends when the last of them has.
  const ended = once(stderr, 'end');
  forgotten.signal('SIGKILL');
  await within('the end of all processes of the lab', ended);
  assert.deepEqual(processesIn([name]), []);
  assert.equal(existsSync(namespace), false);
});
