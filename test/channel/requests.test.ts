import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { type ChannelPeer, LastCallError } from '../../src/channel.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms } from '../harness/needs.ts';
import { Scope } from '../harness/scope.ts';
import { connect, deferred, echo, rejectsWith, serve, text, until } from './open-channel.ts';

describe('A channel', { timeout: 300_000 }, () => {
  for (const overUnix of [false, true]) {
    it(`answers many requests at once over ${overUnix ? 'a Unix socket' : 'TCP'}, each with its own reply`, async () => {
      await using scope = new Scope();
      const served = await serve(scope, echo, {}, { overUnix });
      const channel = connect(scope, served);
      const replies = await Promise.all(
        Array.from({ length: 3_000 }, (_, n) => channel.request(Buffer.from(`request ${n}`))),
      );
      assert.deepEqual(
        replies.map(text),
        Array.from({ length: 3_000 }, (_, n) => `request ${n}`),
      );
      assert.equal(served.sockets.size, 1);
    });
  }

  it('is answered over TLS', { skip: needsPrograms('openssl') }, async () => {
    await using scope = new Scope();
    const { key, cert } = makeCertificate();
    const served = await serve(scope, echo, {}, { server: tls.createServer({ key, cert }) });
    const channel = connect(scope, served, {
      tls: { ca: cert, servername: 'localhost', checkServerIdentity: () => undefined },
    });
    assert.equal(text(await channel.request(Buffer.from('hello'))), 'hello');
    const long = Buffer.alloc(3_000_000, 7);
    assert.ok(long.equals(await channel.request(long)));
  });

  it('is answered by a server with `pauseOnConnect`', async () => {
    await using scope = new Scope();
    const served = await serve(scope, echo, {}, { server: net.createServer({ pauseOnConnect: true }) });
    assert.equal(text(await connect(scope, served).request(Buffer.from('hello'))), 'hello');
  });

  it('answers in the order in which handlers end', async () => {
    await using scope = new Scope();
    const first = deferred<void>();
    const served = await serve(scope, async (request) => {
      const asked = text(await request.bytes());
      if (asked === 'slow') await first.promise;
      return Buffer.from(asked);
    });
    const channel = connect(scope, served);
    const slow = channel.request(Buffer.from('slow'));
    assert.equal(text(await channel.request(Buffer.from('quick'))), 'quick');
    first.resolve();
    assert.equal(text(await slow), 'slow');
  });

  it('carries payloads of any length, both ways', async () => {
    await using scope = new Scope();
    const channel = connect(scope, await serve(scope));
    for (const length of [0, 1, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537, 262_144, 5_000_000]) {
      const payload = Buffer.alloc(length, length % 251);
      assert.ok(payload.equals(await channel.request(payload)), `${length} bytes`);
    }
  });

  it('sends clients only the errors that are meant for them, and calls `onError` with all', async () => {
    await using scope = new Scope();
    const served = await serve(scope, async (request) => {
      const asked = text(await request.bytes());
      if (asked === 'known') throw new LastCallError('ERR_REQUEST_FAILED', 'No such account');
      if (asked === 'nonsense') return 'a string' as unknown as Uint8Array;
      throw new Error('password=hunter2');
    });
    const channel = connect(scope, served);
    const known = await rejectsWith(channel.request(Buffer.from('known')), 'ERR_REQUEST_FAILED');
    assert.equal(known.message, 'No such account');
    const secret = await rejectsWith(channel.request(Buffer.from('secret')), 'ERR_REQUEST_FAILED');
    assert.equal(secret.message, 'The handler failed');
    await rejectsWith(channel.request(Buffer.from('nonsense')), 'ERR_REQUEST_FAILED');
    assert.deepEqual(
      served.errors.map((error) => (error instanceof Error ? error.name : error)),
      ['LastCallError', 'Error', 'TypeError'],
    );
  });

  it('lets a payload be read only once', async () => {
    await using scope = new Scope();
    const served = await serve(scope, async (request) => {
      await request.bytes();
      return request.bytes();
    });
    await rejectsWith(connect(scope, served).request(Buffer.from('twice')), 'ERR_REQUEST_FAILED');
    assert.equal((served.errors[0] as LastCallError).code, 'ERR_CHANNEL_READ');
  });

  it('gives a reply in chunks as it comes', async () => {
    await using scope = new Scope();
    const goOn = deferred<void>();
    const served = await serve(scope, async function* () {
      yield Buffer.from('first');
      await goOn.promise;
      yield Buffer.from('second');
    });
    const reply = await connect(scope, served).requestChunks(new Uint8Array(0));
    const chunks: string[] = [];
    for await (const chunk of reply) {
      chunks.push(text(chunk));
      goOn.resolve();
    }
    assert.deepEqual(chunks, ['first', 'second']);
  });

  it('makes a server send no more of a reply than the client reads', async () => {
    await using scope = new Scope();
    let made = 0;
    async function* makeChunks(): AsyncGenerator<Uint8Array, void> {
      for (let chunk = 0; chunk < 1_000; chunk++) {
        made += 10_000;
        yield await Promise.resolve(Buffer.alloc(10_000));
      }
    }
    const served = await serve(scope, async (request) => {
      const payload = await request.bytes();
      return payload.length === 0 ? makeChunks() : payload;
    });
    const channel = connect(scope, served);
    const reply = (await channel.requestChunks(new Uint8Array(0)))[Symbol.asyncIterator]();
    await reply.next();
    // By the time that these are answered, everything has come that comes without being read.
    for (let other = 0; other < 100; other++) await channel.request(Buffer.from('x'));
    const madeUnread = made;
    // The window of a reply, and one chunk that waits for credit.
    assert.ok(madeUnread <= 262_144 + 2 * 10_000, `${madeUnread} bytes were made`);
    let read = 10_000;
    for (let next = await reply.next(); next.done !== true; next = await reply.next()) read += next.value.length;
    assert.equal(read, 10_000_000);
  });

  it('makes a client send no more of a request than the handler reads', async () => {
    await using scope = new Scope();
    let made = 0;
    const goOn = deferred<void>();
    const begun = deferred<void>();
    const served = await serve(scope, async (request) => {
      begun.resolve();
      await goOn.promise;
      let length = 0;
      for await (const chunk of request) length += chunk.length;
      return Buffer.from(String(length));
    });
    const channel = connect(scope, served);
    const asked = channel.request(async function* () {
      for (let chunk = 0; chunk < 1_000; chunk++) {
        made += 10_000;
        yield await Promise.resolve(Buffer.alloc(10_000));
      }
    });
    await begun.promise;
    // Another request overtakes it.
    const other = channel.request(Buffer.from('x'));
    await until(() => made >= 262_144);
    const madeUnread = made;
    goOn.resolve();
    assert.equal(text(await asked), '10000000');
    assert.equal(text(await other), '1');
    assert.ok(madeUnread <= 262_144 + 10_000, `${madeUnread} bytes were made`);
  });

  it('cancels a request: its handler is aborted, and its outcome is unknown', async () => {
    await using scope = new Scope();
    const aborted = deferred<unknown>();
    const begun = deferred<void>();
    const served = await serve(scope, (request) => {
      request.signal.addEventListener('abort', () => aborted.resolve(request.signal.reason));
      begun.resolve();
      return new Promise(() => {});
    });
    const channel = connect(scope, served);
    const controller = new AbortController();
    const asked = channel.request(Buffer.from('x'), { signal: controller.signal });
    await begun.promise;
    controller.abort(new Error('changed my mind'));
    const error = await rejectsWith(asked, 'ERR_OUTCOME_UNKNOWN');
    assert.equal((error.cause as Error).message, 'changed my mind');
    assert.equal(((await aborted.promise) as LastCallError).code, 'ERR_REQUEST_FAILED');
    await rejectsWith(channel.request(Buffer.from('x'), { signal: AbortSignal.abort() }), 'ERR_NOT_PROCESSED');
  });

  it('stops the chunks of a reply that the client does not read to its end', async () => {
    await using scope = new Scope();
    const left = deferred<void>();
    async function* endless(): AsyncGenerator<Uint8Array, void> {
      try {
        for (;;) yield await Promise.resolve(Buffer.alloc(1_000));
      } finally {
        left.resolve();
      }
    }
    const served = await serve(scope, async (request) => {
      const payload = await request.bytes();
      return payload.length > 0 ? payload : endless();
    });
    const channel = connect(scope, served);
    for await (const chunk of await channel.requestChunks(new Uint8Array(0))) {
      // Chunks may be joined.
      assert.equal(chunk.length % 1_000, 0);
      break;
    }
    await left.promise;
    assert.equal(text(await channel.request(Buffer.from('x'))), 'x');
    assert.deepEqual(served.errors, []);
  });

  it('fails the reader of a reply whose request is cancelled', async () => {
    await using scope = new Scope();
    const served = await serve(scope, async function* () {
      yield Buffer.from('first');
      await new Promise(() => {});
    });
    const controller = new AbortController();
    const reply = await connect(scope, served).requestChunks(new Uint8Array(0), { signal: controller.signal });
    const chunks = reply[Symbol.asyncIterator]();
    await chunks.next();
    const next = rejectsWith(chunks.next(), 'ERR_OUTCOME_UNKNOWN');
    controller.abort(new Error('enough'));
    assert.match((await next).message, /it was cancelled/);
  });

  for (const [title, payload] of [
    [
      'throws',
      () => {
        throw new Error('no payload');
      },
    ],
    ['is not made of chunks', () => 'text'],
  ] as const) {
    it(`does not send a request whose payload ${title}`, async () => {
      await using scope = new Scope();
      const served = await serve(scope);
      const channel = connect(scope, served);
      await rejectsWith(channel.request(payload as never), 'ERR_NOT_PROCESSED');
      assert.equal(text(await channel.request(Buffer.from('x'))), 'x');
    });
  }

  for (const [title, makePayload] of [
    [
      'throws in the middle',
      async function* () {
        yield await Promise.resolve(Buffer.from('x'));
        throw new Error('no more');
      },
    ],
    [
      'has a chunk of text',
      async function* () {
        yield await Promise.resolve('text');
      },
    ],
    [
      'throws when it is begun',
      () => ({
        [Symbol.asyncIterator]: () => {
          throw new Error('none');
        },
      }),
    ],
  ] as const) {
    it(`aborts the handler of a request whose payload ${title}`, async () => {
      await using scope = new Scope();
      const thrown = deferred<unknown>();
      const served = await serve(scope, async (request) => {
        try {
          return await request.bytes();
        } catch (error) {
          thrown.resolve(error);
          throw error;
        }
      });
      const channel = connect(scope, served);
      const { message } = await rejectsWith(channel.request(makePayload as never), 'ERR_OUTCOME_UNKNOWN');
      assert.match(message, /its payload threw/);
      assert.match(String(await thrown.promise), /cancelled the request/);
      assert.equal(text(await channel.request(Buffer.from('x'))), 'x');
    });
  }

  it('sends messages to clients in order, as fast as they are read', async () => {
    await using scope = new Scope();
    const peers: ChannelPeer[] = [];
    const served = await serve(scope, echo, { onPeer: (peer) => peers.push(peer) });
    const received: number[] = [];
    const all = deferred<void>();
    const channel = connect(scope, served, {
      onMessage: (message) => {
        received.push(Buffer.from(message).readUInt32BE());
        if (received.length === 5_000) all.resolve();
      },
    });
    await channel.request(Buffer.from('greeted'));
    assert.deepEqual([...served.channel.peers], peers);
    for (let n = 0; n < 5_000; n++) {
      const message = Buffer.alloc(1_000);
      message.writeUInt32BE(n);
      await peers[0]!.send(message);
    }
    await all.promise;
    assert.deepEqual(
      received,
      Array.from({ length: 5_000 }, (_, n) => n),
    );
    await rejectsWith(peers[0]!.send(Buffer.alloc(65_537)), 'ERR_CHANNEL_LIMIT');
    await channel.close();
    await rejectsWith(peers[0]!.send(Buffer.from('too late')), 'ERR_CHANNEL_CLOSED');
  });

  it('sends an idle client away, which comes back with its next request', async () => {
    await using scope = new Scope();
    const served = await serve(scope, echo, { idleLimit: 1_000 });
    const channel = connect(scope, served);
    await channel.request(Buffer.from('first'));
    const [first] = served.sockets;
    await once(first!, 'close');
    assert.equal(channel.isConnected, false);
    assert.equal(text(await channel.request(Buffer.from('second'))), 'second');
    assert.equal(served.sockets.size, 2);
    assert.deepEqual(served.errors, []);
  });

  it('closes after the last reply, and takes no new requests', async () => {
    await using scope = new Scope();
    const answer = deferred<void>();
    const served = await serve(scope, async (request) => {
      await answer.promise;
      return request.bytes();
    });
    const channel = connect(scope, served);
    const asked = Array.from({ length: 10 }, (_, n) => channel.request(Buffer.from(`${n}`)));
    const closed = channel.close();
    await rejectsWith(channel.request(Buffer.from('late')), 'ERR_CHANNEL_CLOSED');
    answer.resolve();
    assert.equal((await Promise.all(asked)).length, 10);
    await closed;
    await channel.close();
    assert.deepEqual(served.errors, []);
  });

  it('cuts what is left at the deadline of `close`', async () => {
    await using scope = new Scope();
    const served = await serve(scope, () => new Promise(() => {}));
    const channel = connect(scope, served);
    const asked = rejectsWith(channel.request(Buffer.from('x')), 'ERR_OUTCOME_UNKNOWN');
    await until(() => served.channel.peers[Symbol.iterator]().next().done !== true);
    await channel.close({ deadline: 50 });
    await asked;
  });

  it('gives up each request after `giveUpAfter` while no server can be reached', async () => {
    await using scope = new Scope();
    const served = await serve(scope);
    served.server.close();
    await once(served.server, 'close');
    const codes: string[] = [];
    const channel = connect(scope, served, { giveUpAfter: 300, onError: ({ code }) => codes.push(code) });
    const began = performance.now();
    const first = rejectsWith(channel.request(Buffer.from('x')), 'ERR_NOT_PROCESSED');
    await until(() => codes.length > 2);
    const later = performance.now();
    const second = rejectsWith(channel.request(Buffer.from('y')), 'ERR_NOT_PROCESSED');
    assert.match(((await first).cause as LastCallError).message, /ECONNREFUSED/);
    assert.ok(performance.now() - began >= 299);
    await second;
    assert.ok(performance.now() - later >= 299, 'the second was given up too early');
    assert.ok(
      codes.every((code) => code === 'ERR_CHANNEL_BROKEN'),
      codes.join(),
    );
  });

  it('gives up a request that waits for a server with a long retry-after', async () => {
    await using scope = new Scope();
    const served = await serve(scope, echo, { farewell: { reason: 'moving on', retryAfter: 1_000_000 } });
    const channel = connect(scope, served, { giveUpAfter: 100 });
    await channel.request(Buffer.from('x'));
    for (const peer of served.channel.peers) peer.goodbye();
    await until(() => !channel.isConnected);
    await rejectsWith(channel.request(Buffer.from('x')), 'ERR_NOT_PROCESSED');
  });

  it('leaves no socket, timer or listener behind, no matter how it ends', async () => {
    await using scope = new Scope();
    const served = await serve(scope, echo, { pingAfter: 1_000 });
    const use = async (): Promise<void> => {
      const closed = connect(scope, served);
      const cut = connect(scope, served);
      const broken = connect(scope, served);
      const controller = new AbortController();
      const options = { signal: controller.signal, exactlyOnce: true };
      await Promise.all([closed, cut, broken].map((channel) => channel.request(Buffer.from('x'), options)));
      assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
      for (const socket of served.sockets) if (!socket.destroyed && broken.isConnected) socket.destroy();
      await closed.close();
      await Promise.all([cut, broken].map((channel) => channel.close({ deadline: 0 })));
      await until(() => [...served.sockets].every(({ closed }) => closed));
    };
    await use();
    // The reporter of the test run writes to a file at any time. A channel opens no file.
    const open = (): readonly string[] =>
      process
        .getActiveResourcesInfo()
        .filter((kind) => kind !== 'FSReqCallback')
        .toSorted();
    const before = open();
    for (let times = 0; times < 50; times++) await use();
    assert.deepEqual(open(), before);
    assert.deepEqual([...served.channel.peers], []);
  });
});
