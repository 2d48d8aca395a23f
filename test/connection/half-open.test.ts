import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gracefulClose } from '../../src/index.ts';
import { makeFolder } from '../harness/folders.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';

const OPTIONS = { idleWait: 100, lingerWait: 900 };

for (const over of ['TCP', 'a Unix socket'] as const) {
  describe(`a raw connection over ${over}`, { timeout: 30_000, concurrency: true }, () => {
    const answered = prove(`an answer to a client that has ended its side, over ${over}`);
    const heardOut = prove(`what a raw client sends after our end, over ${over}`);

    it('whose client has ended its side is kept until the program has answered, however long that takes', async (t) => {
      await using scope = new Scope();
      const { server, client, accepted } = await start(scope, over, { allowHalfOpen: true });
      const asked = once(accepted, 'end');
      const answer = readAll(client);
      client.end('question');
      accepted.resume();
      await asked;
      const closing = gracefulClose(server, OPTIONS);
      // Longer than it takes to find a connection quiet.
      await sleep(8 * OPTIONS.idleWait);
      const { destroyed, writable } = accepted;
      assert.deepEqual({ destroyed, writable }, { destroyed: false, writable: true });
      accepted.end('answer');
      assert.equal(await answer, 'answer');
      const { outcome, connections } = await closing;
      const { ended, cut } = connections;
      assert.deepEqual({ outcome, ended, cut }, { outcome: 'complete', ended: 1, cut: [] });
      answered.held(t, { 'half-closed': ended });
    });

    it('control: whose client has ended its side gets no answer when the program cuts it off', async (t) => {
      await using scope = new Scope();
      const { server, client, accepted } = await start(scope, over, { allowHalfOpen: true });
      const answer = readAll(client);
      client.end('question');
      await once(accepted.resume(), 'end');
      server.close();
      accepted.destroy();
      assert.equal(await answer, '');
      answered.lost(t, 1);
    });

    it('that sends for long after our end is heard to its own', async (t) => {
      await using scope = new Scope();
      const { server, client, accepted } = await start(scope, over, {});
      const heard = readAll(accepted);
      const isEnded = once(client.resume(), 'end');
      const closing = gracefulClose(server, OPTIONS);
      await isEnded;
      // Each pause is shorter than lingerWait, all of them are longer.
      for (let piece = 0; piece < 5; piece += 1) {
        client.write('x'.repeat(20_000));
        await sleep(OPTIONS.lingerWait / 3);
      }
      client.end();
      assert.equal((await heard).length, 100_000);
      const { outcome, connections } = await closing;
      assert.deepEqual({ outcome, ended: connections.ended }, { outcome: 'complete', ended: 1 });
      heardOut.held(t, { 'sending after our end': connections.ended });
    });

    it('control: that sends after the program has cut it off is not heard', async (t) => {
      await using scope = new Scope();
      const { server, client, accepted } = await start(scope, over, {});
      const heard = readAll(accepted);
      const isEnded = once(client.resume(), 'end');
      server.close();
      accepted.destroy();
      await isEnded;
      client.end('x'.repeat(10_000));
      assert.equal(await heard, '');
      heardOut.lost(t, 1);
    });
  });
}

/** A server that leaves everything to the test, with one client that does not end when the server does. */
async function start(
  scope: Scope,
  over: 'TCP' | 'a Unix socket',
  options: net.ServerOpts,
): Promise<{ server: net.Server; client: net.Socket; accepted: net.Socket }> {
  const folder = scope.use(makeFolder());
  const socketPath = path.join(folder.path, 'socket');
  const isTcp = over === 'TCP';
  const server = scope.use(
    isTcp ? await listen(net.createServer(options)) : await listen(net.createServer(options), { path: socketPath }),
  );
  const arrived = once(server, 'connection');
  const target = isTcp ? { port: portOf(server), host: '127.0.0.1' } : { path: socketPath };
  const client = net.connect({ ...target, allowHalfOpen: true });
  scope.defer(() => client.destroy());
  const [accepted] = await arrived;
  for (const socket of [client, accepted]) socket.on('error', () => socket.destroy());
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
