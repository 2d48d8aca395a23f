import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../harness/folders.ts';
import { within } from '../harness/wait.ts';
import { labMissing, openLab } from './lab.ts';
import { LabClient, nextLocalPort } from './lab-client.ts';
import { startLabServer } from './start-lab-server.ts';

const options = { skip: labMissing };

test('what the client sends comes back, and its FIN ends the connection', options, async () => {
  await using lab = await openLab();
  await startLabServer(lab.server, 8080);
  const client = await LabClient.start(lab.client);
  const connection = client.connect({ host: lab.server.ipv4, port: 8080, send: 'first \xff ' });
  assert.equal(await connection.connected, 'connected');
  assert.equal(await connection.receives('\xff'), true);
  connection.send('second');
  assert.equal(await connection.receives('second'), true);
  connection.end();
  assert.equal(await connection.eof, true);
  assert.deepEqual(await connection.closed, { received: 'first \xff second', ended: 'EOF' });
});

test('a refused connection is a result', options, async () => {
  await using lab = await openLab();
  const client = await LabClient.start(lab.client);
  const connection = client.connect({ host: lab.server.ipv6, port: 1 });
  assert.equal(await connection.connected, 'ECONNREFUSED');
  assert.equal(await connection.eof, false);
  assert.equal(await connection.receives('anything'), false);
  assert.deepEqual(await connection.closed, { received: '', ended: 'ECONNREFUSED' });
});

test('a reset by the peer is a result', options, async () => {
  await using lab = await openLab();
  const server = await startLabServer(lab.server, 8080);
  const client = await LabClient.start(lab.client);
  const connection = client.connect({ host: lab.server.ipv4, port: 8080, send: 'hello' });
  await connection.receives('hello');
  const lostFin = await lab.wire.rule({ direction: 'to client', packet: 'FIN', action: 'drop', count: Infinity });
  const held = await lab.wire.rule({ direction: 'to server', packet: 'data', action: 'hold', count: Infinity });
  connection.send('too late');
  await held.next();
  server.signal('SIGKILL');
  await lostFin.next();
  await held.release();
  assert.deepEqual(await connection.closed, { received: 'hello', ended: 'ECONNRESET' });
  assert.equal(await connection.eof, false);
});

test('the client resets when it is told to', options, async () => {
  await using lab = await openLab();
  await startLabServer(lab.server, 8080);
  const client = await LabClient.start(lab.client);
  const rule = await lab.wire.rule({ direction: 'to server', packet: 'RST', action: 'report' });
  const connection = client.connect({ host: lab.server.ipv4, port: 8080 });
  await connection.connected;
  connection.reset();
  assert.equal((await rule.next()).clientPort, connection.localPort);
  assert.deepEqual(await connection.closed, { received: '', ended: 'closed here' });
});

test('a connection leaves from the port that it was given', options, async () => {
  await using lab = await openLab();
  await startLabServer(lab.server, 8080);
  const client = await LabClient.start(lab.client);
  const localPort = nextLocalPort();
  const rule = await lab.wire.rule({ direction: 'to server', packet: 'SYN', clientPort: localPort, action: 'report' });
  assert.equal(client.connect({ host: lab.server.ipv4, port: 8080, localPort }).localPort, localPort);
  assert.equal((await rule.next()).clientPort, localPort);
  assert.notEqual(nextLocalPort(), localPort);
});

test('a client in half-open mode goes on sending after the FIN of the peer', options, async () => {
  await using lab = await openLab();
  const client = await LabClient.start(lab.client);
  using folder = makeFolder();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.end('bye'));
  try {
    const path = join(folder.path, 'socket');
    await once(server.listen(path), 'listening');
    const accepted = once(server, 'connection');
    const connection = client.connect({ path, halfOpen: true });
    assert.equal(connection.localPort, undefined);
    assert.equal(await connection.eof, true);
    const [socket] = await within('a connection', accepted);
    connection.send('late');
    assert.equal(`${(await once(socket, 'data'))[0]}`, 'late');
    connection.end();
    assert.deepEqual(await connection.closed, { received: 'bye', ended: 'EOF' });
  } finally {
    server.close();
  }
});

test('what is open when the lab closes ends as closed here', options, async () => {
  await using lab = await openLab();
  await startLabServer(lab.server, 8080);
  const client = await LabClient.start(lab.client);
  const connection = client.connect({ host: lab.server.ipv4, port: 8080 });
  await connection.connected;
  await lab.close();
  assert.deepEqual(await connection.closed, { received: '', ended: 'closed here' });
});
