import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import httpProxy from 'http-proxy';
import { WebSocket, WebSocketServer } from 'ws';
import { type CloseOptions, type CloseReport, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listenHttp } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';

const OPTIONS: CloseOptions = { idleWait: 200, lingerWait: 500, deadline: 8_000 };
const CLOSE = Buffer.from([0x88, 2, 0x03, 0xe9]);

/** A server's frame. */
function frame(opcode: number, payload: Uint8Array, isLast = true): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length > 65_535 ? 10 : length > 125 ? 4 : 2);
  head.writeUInt8((isLast ? 0x80 : 0) | opcode, 0);
  head.writeUInt8(length > 65_535 ? 127 : length > 125 ? 126 : length, 1);
  if (length > 65_535) head.writeBigUInt64BE(BigInt(length), 2);
  else if (length > 125) head.writeUInt16BE(length, 2);
  return Buffer.concat([head, payload]);
}

const MESSAGES: Readonly<Record<string, Buffer>> = {
  'of a few bytes': frame(1, Buffer.from('some words')),
  'of 64 KB': frame(2, Buffer.alloc(65_000, 'a')),
  'of a megabyte': frame(2, Buffer.alloc(1_000_000, 'a')),
  'in three fragments, with a Ping between them': Buffer.concat([
    frame(1, Buffer.from('first '), false),
    frame(9, Buffer.from('ping')),
    frame(0, Buffer.from('second '), false),
    frame(0, Buffer.from('third')),
  ]),
};

for (const [which, message] of Object.entries(MESSAGES)) {
  describe(`a message ${which} that a proxy writes in pieces`, { timeout: 60_000, concurrency: true }, () => {
    const proof = prove(`a WebSocket message ${which} that goes out in pieces`);

    it('is whole at the client, and its Close comes behind it', async (t) => {
      await using scope = new Scope();
      const { write, received, closing } = await closeDuring(scope, message.subarray(0, message.length / 2));
      // Time is what is tested: Close would have gone out by now.
      await wait(300);
      await write(message.subarray(message.length / 2));
      await until('Close has come', () => received().length === message.length + CLOSE.length);
      assert.deepEqual(received(), Buffer.concat([message, CLOSE]));
      const { outcome, connections } = await closing;
      assert.deepEqual({ outcome, said: connections.farewells.said }, { outcome: 'complete', said: 1 });
      proof.held(t, { 'bytes to come': message.length / 2 });
    });

    it('is followed by Close though the next message begins in the same write', async () => {
      await using scope = new Scope();
      const { write, received, closing } = await closeDuring(scope, message.subarray(0, message.length / 2));
      await wait(50);
      const next = frame(1, Buffer.from('next'));
      await write(Buffer.concat([message.subarray(message.length / 2), next.subarray(0, 3)]));
      const whole = Buffer.concat([message, CLOSE, next.subarray(0, 3)]);
      await until('Close has come', () => received().length === whole.length);
      assert.deepEqual(received(), whole);
      assert.equal((await closing).outcome, 'complete');
    });

    it('control: is damaged by a Close that is written in between', async (t) => {
      await using scope = new Scope();
      const { write, received, closing, plainWrite } = await closeDuring(
        scope,
        message.subarray(0, message.length / 2),
      );
      plainWrite(CLOSE);
      await write(message.subarray(message.length / 2));
      await until('it has come', () => received().length >= message.length + CLOSE.length);
      assert.notDeepEqual(received().subarray(0, message.length), message);
      await closing;
      proof.lost(t, 1);
    });
  });
}

describe('the Close of a WebSocket whose frames are followed', { timeout: 60_000, concurrency: true }, () => {
  it('goes between two fragments where the deadline leaves no time for the rest of a message, which is in doubt', async () => {
    await using scope = new Scope();
    const first = frame(1, Buffer.from('first'), false);
    const { received, closing } = await closeDuring(scope, first, { deadline: 1_800 });
    await until('Close has come', () => received().length > first.length);
    assert.deepEqual(received(), Buffer.concat([first, CLOSE]));
    const { outcome, doubts } = await closing;
    assert.equal(outcome, 'forced');
    assert.match(doubts.join('\n'), /in the middle of a message/);
  });

  it('never goes into a frame: who has half of one is cut at the deadline', async () => {
    await using scope = new Scope();
    const half = frame(1, Buffer.from('a message')).subarray(0, 5);
    const { received, closing } = await closeDuring(scope, half, { deadline: 1_500 });
    const { outcome, connections } = await closing;
    assert.deepEqual(
      { outcome, cut: connections.cut.map(({ protocol, reason }) => `${protocol} ${reason}`) },
      { outcome: 'forced', cut: ['websocket deadline'] },
    );
    assert.deepEqual(received(), half);
  });

  it('is left out where what goes out are no frames, and the connection ends without words', async () => {
    await using scope = new Scope();
    const words = Buffer.from([0x83, 0x05, 0x01, 0x02]);
    const { received, closing } = await closeDuring(scope, words);
    const { outcome, connections } = await closing;
    assert.deepEqual(
      { outcome, ended: connections.ended, said: connections.farewells.said },
      { outcome: 'complete', ended: 1, said: 0 },
    );
    assert.deepEqual(received(), words);
  });

  it('is left to the program where it has sent its own', async () => {
    await using scope = new Scope();
    const { received, closing } = await closeDuring(scope, CLOSE);
    await closing;
    assert.deepEqual(received(), CLOSE);
  });

  for (const [how, split] of Object.entries({
    'byte by byte': 1,
    'in pieces of three bytes': 3,
  })) {
    it(`comes behind frames of every length that are written ${how}`, async () => {
      await using scope = new Scope();
      const all = Buffer.concat([0, 1, 125, 126, 300].map((length) => frame(2, Buffer.alloc(length, 'b'))));
      const { write, received, closing } = await closeDuring(scope, Buffer.from([0x82]));
      const rest = Buffer.concat([Buffer.from([0]), all]);
      for (let at = 0; at < rest.length; at += split) await write(rest.subarray(at, at + split));
      await until('Close has come', () => received().includes(CLOSE));
      const [before] = splitAt(received(), received().indexOf(CLOSE));
      const whole = Buffer.concat([Buffer.from([0x82]), rest]);
      assert.deepEqual(before, whole.subarray(0, before.length));
      assert.equal((await closing).outcome, 'complete');
    });
  }
});

describe('a message of the `ws` package in fragments', { timeout: 60_000 }, () => {
  for (const isGiven of [true, false]) {
    it(`is whole at the client before its Close, the server's object ${isGiven ? '' : 'not '}given`, async () => {
      await using scope = new Scope();
      const server = scope.use(await listenHttp());
      const webSockets = new WebSocketServer({ server });
      const client = new WebSocket(`ws://127.0.0.1:${portOf(server)}`);
      scope.defer(() => client.terminate());
      const [[webSocket]] = await Promise.all([once(webSockets, 'connection'), once(client, 'open')]);
      assert(webSocket instanceof WebSocket);
      const [heard, closed] = [once(client, 'message'), once(client, 'close')];
      webSocket.send('first ', { fin: false });
      const closing = gracefulClose(server, { ...OPTIONS, ...(isGiven && { webSockets }) });
      // Time is what is tested: Close would have gone out by now.
      await wait(300);
      webSocket.send('second', { fin: true });
      const [[words], [code]] = await within('the message and Close', Promise.all([heard, closed]));
      assert.deepEqual({ words: String(words), code }, { words: 'first second', code: 1001 });
      assert.equal((await closing).outcome, 'complete');
    });
  }
});

describe('a message that http-proxy passes on slowly', { timeout: 60_000 }, () => {
  for (const perMessageDeflate of [true, false]) {
    it(`is whole at a client that ${perMessageDeflate ? 'offers' : 'does not offer'} compression`, async () => {
      await using scope = new Scope();
      const backend = scope.use(await listenHttp());
      const upgraded = once(backend, 'upgrade');
      const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${portOf(backend)}`, ws: true });
      proxy.on('error', () => {});
      const server = scope.use(await listenHttp());
      server.on('upgrade', (request, socket, head) => proxy.ws(request, socket, head));
      const client = new WebSocket(`ws://127.0.0.1:${portOf(server)}`, { perMessageDeflate });
      scope.defer(() => client.terminate());
      const [heard, closed] = [once(client, 'message'), once(client, 'close')];
      const [request, socket] = await upgraded;
      assert(socket instanceof net.Socket);
      socket.on('error', () => {});
      socket.write(answerTo(request.headers['sec-websocket-key']));
      const message = frame(2, Buffer.alloc(100_000, 'a'));
      socket.write(message.subarray(0, 50_000));
      await once(client, 'open');
      const closing = gracefulClose(server, OPTIONS);
      // Time is what is tested: Close would have gone out by now.
      await wait(600);
      socket.write(message.subarray(50_000));
      const [[got], [code]] = await within('the message and Close', Promise.all([heard, closed]));
      assert.deepEqual(
        { length: got.length, isWhole: Buffer.alloc(100_000, 'a').equals(got), code },
        { length: 100_000, isWhole: true, code: 1001 },
      );
      await closing;
    });
  }
});

/** A server that is being closed while it has written `first` to a client that became a WebSocket. */
async function closeDuring(
  scope: Scope,
  first: Uint8Array,
  options: CloseOptions = {},
): Promise<{
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** Past what lastcall follows. */
  readonly plainWrite: (bytes: Uint8Array) => void;
  readonly received: () => Buffer;
  readonly closing: Promise<CloseReport>;
}> {
  const server = scope.use(await listenHttp());
  const upgraded = once(server, 'upgrade');
  server.on('upgrade', () => {});
  const client = net.connect(portOf(server), '127.0.0.1');
  scope.defer(() => client.destroy());
  client.on('error', () => {});
  let text = Buffer.alloc(0);
  client.on('data', (bytes: Buffer) => (text = Buffer.concat([text, bytes])));
  client.write(
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  );
  const [, socket] = await upgraded;
  assert(socket instanceof net.Socket);
  socket.on('error', () => {}).resume();
  // The answer in two pieces, too.
  const answer = answerTo('eA==');
  socket.write(answer.slice(0, 20));
  socket.write(answer.slice(20));
  socket.write(first);
  await until('the client has what was written', () => text.length === answer.length + first.length);
  return {
    write: (bytes) => new Promise((resolve) => socket.write(bytes, () => resolve())),
    plainWrite: (bytes) => void net.Socket.prototype.write.call(socket, bytes),
    received: () => text.subarray(answer.length),
    closing: gracefulClose(server, { ...OPTIONS, ...options }),
  };
}

function answerTo(key: unknown): string {
  const accept = createHash('sha1')
    .update(`${String(key)}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

function splitAt(bytes: Buffer, at: number): readonly [Buffer, Buffer] {
  return [bytes.subarray(0, at), bytes.subarray(at)];
}
