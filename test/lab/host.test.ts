import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { labMissing, type Host, openLab } from './lab.ts';
import { LabClient } from './lab-client.ts';
import { startLabServer } from './start-lab-server.ts';

const options = { skip: labMissing };
const SYNCOOKIES = '/proc/sys/net/ipv4/tcp_syncookies';

async function output(
  host: Host,
  command: string,
  args: string[],
  user: { uid?: number; gid?: number } = {},
): Promise<string> {
  const child = host.spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], ...user });
  assert.ok(child.stdout);
  return (await text(child.stdout)).trim();
}

test('a parameter that is set on one host stays there', options, async () => {
  await using lab = await openLab();
  const [before, onServer] = [readFileSync(SYNCOOKIES, 'latin1'), await lab.server.read(SYNCOOKIES)];
  await lab.client.sysctl('net.ipv4.tcp_syncookies', '2');
  assert.equal(await lab.client.read(SYNCOOKIES), '2\n');
  assert.equal(await output(lab.client, 'cat', [SYNCOOKIES]), '2');
  assert.equal(await lab.server.read(SYNCOOKIES), onServer);
  assert.equal(readFileSync(SYNCOOKIES, 'latin1'), before);
  assert.notEqual(before, '2\n');
});

test('a parameter that does not exist is refused, and the lab goes on', options, async () => {
  await using lab = await openLab();
  await assert.rejects(lab.client.sysctl('net.ipv4.no_such_thing', '1'), /ENOENT/);
  assert.equal(await lab.client.read(SYNCOOKIES), (await output(lab.client, 'cat', [SYNCOOKIES])) + '\n');
});

test('a program runs in its host as the user that was asked for', options, async () => {
  await using lab = await openLab();
  const namespace = await output(lab.server, 'readlink', ['/proc/self/ns/net'], { uid: 65_534, gid: 65_534 });
  assert.equal(namespace, await output(lab.server, 'readlink', ['/proc/self/ns/net']));
  assert.notEqual(namespace, await output(lab.client, 'readlink', ['/proc/self/ns/net']));
  assert.equal(await output(lab.server, 'id', ['-u'], { uid: 65_534, gid: 65_534 }), '65534');
  assert.equal(await output(lab.server, 'id', ['-G'], { uid: 65_534, gid: 65_534 }), '65534');
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
  const child = lab.server.fork('-', [], {
    execArgv: ['--input-type=module', '--eval', 'process.send(process.env.COLOUR)'],
    env: { COLOUR: 'green' },
  });
  assert.deepEqual(await once(child, 'message'), ['green', undefined]);
});
