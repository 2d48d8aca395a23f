// A close looks at a client, and ends it a moment later. Words that come in between count as well.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { suite, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { AwaitedAnswer } from '../../src/connection/answer/awaited-answer.ts';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen, listenHttp } from '../harness/servers.ts';

const OPTIONS: CloseOptions = { idleWait: 100, lingerWait: 500, deadline: 20_000 };
/** Long after the close would have ended a client that waits for nothing, in ms. */
const LONG = 500;

/** A client that has asked, and a program that has not answered. */
interface Asked {
  readonly server: net.Server;
  readonly answer: () => void;
  /** What the client gets until its connection ends. */
  readonly got: Promise<string>;
}

const KINDS: Readonly<Record<string, (scope: Scope) => Promise<Asked>>> = {
  'a raw client': askRaw,
  'a WebSocket': askWebSocket,
};

for (const [kind, ask] of Object.entries(KINDS)) {
  suite(`${kind} that speaks between the look and the end`, { timeout: 60_000 }, () => {
    const proof = prove(`${kind} that speaks between a look of the close and its end`);

    test('is not ended before its answer, and there is no doubt', async (t) => {
      await using scope = new Scope();
      spokeAfterEachLook(t);
      const { server, answer, got } = await ask(scope);
      const closing = gracefulClose(server, OPTIONS);
      // Time is what is tested.
      await sleep(LONG);
      answer();
      assert.equal(await got, 'answer');
      const { outcome, doubts } = await closing;
      assert.deepEqual({ outcome, doubts }, { outcome: 'complete', doubts: [] });
      proof.held(t, { owed: 1 });
    });

    test('control: is ended without its answer where its state is that of the deadline', async (t) => {
      await using scope = new Scope();
      spokeAfterEachLook(t);
      t.mock.getter(AwaitedAnswer.prototype, 'state', () => 'cut short');
      const { server, answer, got } = await ask(scope);
      const closing = gracefulClose(server, OPTIONS);
      await sleep(LONG);
      answer();
      assert.equal(await got, '');
      assert.equal((await closing).outcome, 'forced');
      proof.lost(t, 1);
    });
  });
}

/** Each look finds nobody waiting: the words have come after it. */
function spokeAfterEachLook(t: TestContext): void {
  t.mock.method(AwaitedAnswer.prototype, 'wait', () => 0);
}

async function askRaw(scope: Scope): Promise<Asked> {
  const server = scope.use(await listen(net.createServer({ allowHalfOpen: true })));
  const accepted = once(server, 'connection');
  const client = net.connect(portOf(server), '127.0.0.1');
  scope.defer(() => client.destroy());
  client.write('question');
  const [socket]: net.Socket[] = await accepted;
  assert(socket !== undefined);
  socket.on('error', () => {}).on('end', () => socket.end());
  await once(socket, 'data');
  const got = new Promise<string>((resolve) => {
    let text = '';
    client.on('data', (bytes) => (text += String(bytes))).on('end', () => resolve(text));
  });
  return { server, answer: () => void socket.write('answer'), got };
}

async function askWebSocket(scope: Scope): Promise<Asked> {
  const server = scope.use(await listenHttp());
  const sockets = new WebSocketServer({ server });
  const connected = once(sockets, 'connection');
  const client = new WebSocket(`ws://127.0.0.1:${portOf(server)}`);
  scope.defer(() => client.terminate());
  const [socket]: WebSocket[] = await connected;
  assert(socket !== undefined);
  socket.on('error', () => {});
  client.once('open', () => client.send('question'));
  await once(socket, 'message');
  const got = new Promise<string>((resolve) => {
    let text = '';
    client.addEventListener('message', ({ data }) => void (text += typeof data === 'string' ? data : ''));
    client.once('close', () => resolve(text));
  });
  return { server, answer: () => socket.send('answer'), got };
}
