import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { portOf } from '../harness/ports.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { connectionsOf } from '../../src/connection/open-connections.ts';

test('of many connections those that are open are found, and those that have closed are not', async () => {
  await using scope = new Scope();
  await using server = await listen(createServer());
  const open = await connectMany(scope, server, 3);
  for (let round = 0; round < 5; round++) {
    const closing = await connectMany(scope, server, 40);
    const accepted = connectionsOf(server);
    assert.equal(accepted.length, 43);
    const ports = new Set(closing.map(({ localPort }) => localPort));
    const ended = accepted.filter(({ remotePort }) => ports.has(remotePort)).map((socket) => once(socket, 'close'));
    for (const client of closing) client.destroy();
    await Promise.all(ended);
    assert.equal(connectionsOf(server).length, 3);
  }
  assert.deepEqual(portsOf(connectionsOf(server)), open.map((client) => client.localPort ?? 0).sort(byNumber));
});

test('a connection that is destroyed counts as gone at once', async () => {
  await using scope = new Scope();
  await using server = await listen(createServer());
  await connectMany(scope, server, 2);
  const [first] = connectionsOf(server);
  first?.destroy();
  assert.equal(connectionsOf(server).length, 1);
  assert.ok(!connectionsOf(server).includes(first!));
});

function createServer(): net.Server {
  return net.createServer((socket) => socket.on('error', () => {}));
}

async function connectMany(scope: Scope, server: net.Server, count: number): Promise<readonly net.Socket[]> {
  const clients: net.Socket[] = [];
  for (let client = 0; client < count; client++) {
    const socket = net.connect(portOf(server), '127.0.0.1').on('error', () => {});
    scope.defer(() => socket.destroy());
    await Promise.all([once(socket, 'connect'), once(server, 'connection')]);
    clients.push(socket);
  }
  return clients;
}

function portsOf(sockets: Iterable<net.Socket>): readonly number[] {
  return [...sockets].map((socket) => socket.remotePort ?? 0).sort(byNumber);
}

function byNumber(left: number, right: number): number {
  return left - right;
}
