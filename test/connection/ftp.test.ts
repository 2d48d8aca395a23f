import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
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
