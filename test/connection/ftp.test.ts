import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Client } from 'basic-ftp';
import { FtpSrv } from 'ftp-srv';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { makeFolder } from '../harness/folders.ts';
import { freePort, portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';

const OPTIONS: CloseOptions = { idleWait: 200, lingerWait: 500, deadline: 20_000 };

describe('a transfer as FTP makes it: one connection for the commands, another for the file', {
  timeout: 60_000,
}, () => {
  const proof = prove('the reply to a transfer on another connection of the same client');

  for (const direction of ['up', 'down'] as const) {
    it(`keeps the quiet connection of the commands until its reply, ${direction}wards`, async (t) => {
      await using scope = new Scope();
      const { servers, replies, commandsEnded, transfer } = await beginTransfer(scope, direction);
      const closing = gracefulClose(servers, OPTIONS);
      // Time is what is tested: several times as long as a quiet connection may be quiet.
      await transfer(1_000);
      await within('the end', commandsEnded);
      assert.deepEqual(replies, ['150 sending', '226 done']);
      const { outcome, connections } = await closing;
      assert.deepEqual({ outcome, cut: connections.cut }, { outcome: 'complete', cut: [] });
      proof.held(t, { transfers: 1 });
    });
  }

  it('control: loses its reply where the server of the files is closed alone, and the commands by another close', async (t) => {
    await using scope = new Scope();
    const { servers, replies, commandsEnded, transfer } = await beginTransfer(scope, 'up');
    const closings = servers.map((server) => gracefulClose(server, OPTIONS));
    const transferred = transfer(1_000);
    await within('the end', commandsEnded);
    assert.deepEqual(replies, ['150 sending']);
    await transferred;
    await Promise.all(closings);
    proof.lost(t, 1);
  });
});

describe('an upload by FTP, with ftp-srv and basic-ftp', { timeout: 60_000 }, () => {
  const proof = prove('the reply to an upload by FTP');

  it('is stored, and its client gets the reply', async (t) => {
    await using scope = new Scope();
    const { uploaded } = await upload(scope, (servers) => gracefulClose(servers, OPTIONS));
    assert.equal(await uploaded, 226);
    proof.held(t, { uploads: 1 });
  });

  it('control: gets no reply where the connection of the commands alone is in the close', async (t) => {
    await using scope = new Scope();
    const { uploaded } = await upload(scope, (servers) => gracefulClose(servers.slice(0, 1), OPTIONS));
    assert.equal(await uploaded, 'failed');
    proof.lost(t, 1);
  });
});

/** An upload that goes on for a second when its server is closed. */
async function upload(
  scope: Scope,
  close: (servers: readonly net.Server[]) => Promise<unknown>,
): Promise<{ uploaded: Promise<number | 'failed'> }> {
  const folder = scope.use(makeFolder());
  const ports = [await freePort(), await freePort()] as const;
  const before = new Set(serversHere());
  const server = new FtpSrv({
    url: `ftp://127.0.0.1:${ports[0]}`,
    pasv_url: '127.0.0.1',
    pasv_min: ports[1],
    pasv_max: ports[1],
    anonymous: true,
  });
  server.on('login', (_, resolve) => resolve({ root: folder.path }));
  await server.listen();
  scope.defer(() => server.close());
  const client = new Client(10_000);
  scope.defer(() => client.close());
  await client.access({ host: '127.0.0.1', port: ports[0] });
  let sent = 0;
  const slowly = async function* (): AsyncGenerator<Buffer> {
    for (; sent < 50; sent += 1, await wait(20)) yield Buffer.alloc(1_000);
  };
  const uploaded = client.uploadFrom(Readable.from(slowly()), 'file').then(
    ({ code }) => code,
    () => 'failed' as const,
  );
  await until('the upload is under way', () => sent > 3);
  const servers = serversHere().filter((found) => !before.has(found));
  assert.equal(servers.length, 2);
  void close(servers.toSorted((a) => (portOf(a) === ports[0] ? -1 : 1)));
  return { uploaded };
}

/** The servers of this process that listen. */
function serversHere(): readonly net.Server[] {
  const list: unknown = Reflect.get(process, '_getActiveHandles');
  const handles: readonly unknown[] = typeof list === 'function' ? list.call(process) : [];
  return handles.filter((handle): handle is net.Server => handle instanceof net.Server);
}

/** A client that has asked for a transfer, which goes on as long as the test wants. */
async function beginTransfer(
  scope: Scope,
  direction: 'up' | 'down',
): Promise<{
  servers: readonly net.Server[];
  replies: readonly string[];
  commandsEnded: Promise<unknown>;
  transfer: (milliseconds: number) => Promise<void>;
}> {
  const [commandServer, fileServer] = [
    scope.use(await listen(net.createServer())),
    scope.use(await listen(net.createServer())),
  ];
  const connected = Promise.all([once(commandServer, 'connection'), once(fileServer, 'connection')]);
  const [commands, file] = [commandServer, fileServer].map((server) => net.connect(portOf(server), '127.0.0.1'));
  const [[commandsServed], [fileServed]] = await connected;
  assert(commands && file && commandsServed instanceof net.Socket && fileServed instanceof net.Socket);
  for (const socket of [commands, file, commandsServed, fileServed]) {
    socket.on('error', () => {});
    scope.defer(() => socket.destroy());
  }
  const replies: string[] = [];
  commands.on('data', (words) => replies.push(...String(words).trim().split('\n')));
  const [from, to] = direction === 'up' ? [file, fileServed] : [fileServed, file];
  to.resume().on('end', () => {
    // The program stores what has come, and replies.
    setTimeout(() => commandsServed.writable && commandsServed.write('226 done\n'), 100);
  });
  commandsServed.once('data', () => commandsServed.write('150 sending\n'));
  commands.write('STOR file\n');
  await until('it has begun', () => replies.length === 1);
  const transfer = async (milliseconds: number): Promise<void> => {
    for (const end = performance.now() + milliseconds; performance.now() < end; await wait(20))
      from.write('x'.repeat(1_000));
    from.end();
  };
  return { servers: [commandServer, fileServer], replies, commandsEnded: once(commands, 'end'), transfer };
}
