import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gracefulClose } from '../../src/index.ts';
import { portOf } from '../close/calls-servers.ts';

const OPTIONS = { idleWait: 100, lingerWait: 200 };

for (const over of ['TCP', 'a Unix socket'] as const) {
  describe(`a raw connection over ${over}`, { timeout: 30_000 }, () => {
    it('whose client has ended its side is kept until the program has answered, however long that takes', async (t) => {
      const { server, client, accepted } = await start(t, over, { allowHalfOpen: true });
      const asked = once(accepted, 'end');
      const answer = readAll(client);
      client.end('question');
      accepted.resume();
      await asked;
      const closing = gracefulClose(server, OPTIONS);
      await sleep(8 * OPTIONS.idleWait);
      assert.deepEqual([accepted.destroyed, accepted.writable], [false, true]);
      accepted.end('answer');
      assert.equal(await answer, 'answer');
      const { outcome, connections } = await closing;
      assert.deepEqual([outcome, connections.ended, connections.cut], ['complete', 1, []]);
    });

    it('control: whose client has ended its side gets no answer when the program cuts it off', async (t) => {
      const { server, client, accepted } = await start(t, over, { allowHalfOpen: true });
      const answer = readAll(client);
      client.end('question');
      await once(accepted.resume(), 'end');
      server.close();
      accepted.destroy();
      assert.equal(await answer, '');
    });

    it('that sends for long after our end is heard to its own', async (t) => {
      const { server, client, accepted } = await start(t, over, {});
      const heard = readAll(accepted);
      const ended = once(client.resume(), 'end');
      const closing = gracefulClose(server, OPTIONS);
      await ended;
      // Each pause is shorter than lingerWait, all of them are longer.
      for (let piece = 0; piece < 10; piece += 1) {
        client.write('x'.repeat(10_000));
        await sleep(OPTIONS.lingerWait / 3);
      }
      client.end();
      assert.equal((await heard).length, 100_000);
      const { outcome, connections } = await closing;
      assert.deepEqual([outcome, connections.ended], ['complete', 1]);
    });

    it('control: that sends after the program has cut it off is not heard', async (t) => {
      const { server, client, accepted } = await start(t, over, {});
      const heard = readAll(accepted);
      const closed = once(client.resume(), 'end');
      server.close();
      accepted.destroy();
      await closed;
      client.end('x'.repeat(10_000));
      assert.equal(await heard, '');
    });
  });
}

/** A server that leaves everything to the test, with one client that does not end when the server does. */
async function start(
  t: TestContext,
  over: 'TCP' | 'a Unix socket',
  options: net.ServerOpts,
): Promise<{ server: net.Server; client: net.Socket; accepted: net.Socket }> {
  const server = net.createServer(options);
  const folder = mkdtempSync(path.join(tmpdir(), 'lastcall-half-open-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const socketPath = path.join(folder, 'socket');
  const listening = once(server, 'listening');
  if (over === 'TCP') server.listen(0, '127.0.0.1');
  else server.listen(socketPath);
  await listening;
  const arrived = once(server, 'connection');
  const allowHalfOpen = true;
  const client =
    over === 'TCP'
      ? net.connect({ port: portOf(server), host: '127.0.0.1', allowHalfOpen })
      : net.connect({ path: socketPath, allowHalfOpen });
  const [accepted] = await arrived;
  for (const socket of [client, accepted]) socket.on('error', () => socket.destroy());
  t.after(() => {
    client.destroy();
    accepted.destroy();
    if (server.listening) server.close();
  });
  return { server, client, accepted };
}

/** Everything that comes on a connection until it ends or is closed. */
async function readAll(socket: net.Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (words: string) => {
    text += words;
  });
  await new Promise<void>((resolve) => {
    for (const event of ['end', 'close']) socket.once(event, () => resolve());
  });
  return text;
}
