import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { forkNode, startCommand } from '../harness/processes.ts';
import { within } from '../harness/wait.ts';
import { labMissing, type Host, openLab } from './lab.ts';
import { LabClient } from './lab-client.ts';
import { startLabServer } from './start-lab-server.ts';

const options = { skip: labMissing };
const SYNCOOKIES = '/proc/sys/net/ipv4/tcp_syncookies';

async function output(
  host: Host,
  command: readonly string[],
  user: { readonly uid?: number; readonly gid?: number } = {},
): Promise<string> {
  await using started = startCommand(command, { host, stdio: ['ignore', 'pipe', 'inherit'], ...user });
  const { code, stdout } = await within(`the end of ${command.join(' ')}`, started.ended);
  assert.equal(code, 0);
  return stdout.trim();
}

test('a parameter that is set on one host stays there', options, async () => {
  await using lab = await openLab();
  const [before, onServer] = [readFileSync(SYNCOOKIES, 'latin1'), await lab.server.read(SYNCOOKIES)];
  await lab.client.sysctl('net.ipv4.tcp_syncookies', '2');
  assert.equal(await lab.client.read(SYNCOOKIES), '2\n');
  assert.equal(await output(lab.client, ['cat', SYNCOOKIES]), '2');
  assert.equal(await lab.server.read(SYNCOOKIES), onServer);
  assert.equal(readFileSync(SYNCOOKIES, 'latin1'), before);
  assert.notEqual(before, '2\n');
});

test('a parameter that does not exist is refused, and the lab goes on', options, async () => {
  await using lab = await openLab();
  await assert.rejects(lab.client.sysctl('net.ipv4.no_such_thing', '1'), /ENOENT/);
  assert.equal(await lab.client.read(SYNCOOKIES), (await output(lab.client, ['cat', SYNCOOKIES])) + '\n');
});

test('a program runs in its host as the user that was asked for', options, async () => {
  await using lab = await openLab();
  const namespace = await output(lab.server, ['readlink', '/proc/self/ns/net'], { uid: 65_534, gid: 65_534 });
  assert.equal(namespace, await output(lab.server, ['readlink', '/proc/self/ns/net']));
  assert.notEqual(namespace, await output(lab.client, ['readlink', '/proc/self/ns/net']));
  assert.equal(await output(lab.server, ['id', '-u'], { uid: 65_534, gid: 65_534 }), '65534');
  assert.equal(await output(lab.server, ['id', '-G'], { uid: 65_534, gid: 65_534 }), '65534');
});

test('both addresses work as soon as the lab is open, and the loopback too', options, async () => {
  await using lab = await openLab();
  await startLabServer(lab.server, 8080);
  const near = await LabClient.start(lab.server);
  const far = await LabClient.start(lab.client);
  for (const host of [lab.server.ipv4, lab.server.ipv6]) {
    assert.equal(await far.connect({ host, port: 8080 }).connected, 'connected');
  }
  for (const host of ['127.0.0.1', '::1', lab.server.ipv6]) {
    assert.equal(await near.connect({ host, port: 8080 }).connected, 'connected');
  }
});

test('a forked program talks to the test and has the arguments and variables that it was given', options, async () => {
  await using lab = await openLab();
  await using child = forkNode<{ readonly colour: string }>('-', {
    host: lab.server,
    args: ['green'],
    execArgv: ['--input-type=module', '--eval', 'process.send({ colour: process.env.LIGHT + process.argv.at(-1) })'],
    env: { LIGHT: 'dark ' },
  });
  assert.equal(await child.next('colour'), 'dark green');
});
