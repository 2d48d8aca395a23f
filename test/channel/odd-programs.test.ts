import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import net from 'node:net';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connectChannel, LastCallError } from '../../src/channel.ts';
import { ClientRequest } from '../../src/channel/client/request.ts';
import { completeRequest } from '../../src/channel/client/options.ts';
import { RequestQueue } from '../../src/channel/client/request-queue.ts';
import { Scope } from '../harness/scope.ts';
import { connect, deferred, echo, rejectsWith, serve, text, until } from './open-channel.ts';
import { frame, hello, WireReader } from './wire.ts';

const file = fileURLToPath(import.meta.url);

async function* throwsNothing(): AsyncGenerator<Uint8Array, void> {
  yield await Promise.resolve(Buffer.from('part'));
  throw undefined;
}

describe('A channel whose program does odd things', { timeout: 300_000 }, () => {
  it('fails the request where the chunks of the reply throw undefined', async () => {
    await using scope = new Scope();
    const served = await serve(scope, throwsNothing);
    await rejectsWith(connect(scope, served).request(Buffer.from('x')), 'ERR_REQUEST_FAILED');
    assert.match(String(served.errors[0]), /The chunks threw nothing/);
  });

  it('fails the request where the chunks of its payload throw undefined', async () => {
    await using scope = new Scope();
    const channel = connect(scope, await serve(scope));
    await rejectsWith(channel.request(throwsNothing), 'ERR_OUTCOME_UNKNOWN');
  });

  it('fails the reader of a reply whose handler fails in the middle', async () => {
    await using scope = new Scope();
    const served = await serve(scope, async function* () {
      yield await Promise.resolve(Buffer.from('part'));
      throw new LastCallError('ERR_REQUEST_FAILED', 'The rest is gone');
    });
    const channel = connect(scope, served);
    const reply = await channel.requestChunks(Buffer.alloc(0));
    const chunks: string[] = [];
    const error = await rejectsWith(
      (async () => {
        for await (const chunk of reply) chunks.push(text(chunk));
      })(),
      'ERR_REQUEST_FAILED',
    );
    assert.deepEqual({ chunks, message: error.message }, { chunks: ['part'], message: 'The rest is gone' });
  });

  for (const [title, iterator] of [
    ['without an iterator', () => undefined],
    ['whose iterator has no next', () => ({})],
    ['whose iterator returns nothing', () => ({ next: () => undefined })],
    ['whose iterator throws', () => ({ next: () => assert.fail('odd') })],
    ['whose chunks are text', () => ({ next: () => ({ done: false, value: 'text' }) })],
  ] as const) {
    const odd = { [Symbol.asyncIterator]: iterator } as unknown as AsyncIterable<Uint8Array>;

    it(`settles the request with a payload, or a reply, ${title}`, async () => {
      await using scope = new Scope();
      const served = await serve(scope, (request) => (request.key === undefined ? odd : echo(request)));
      const channel = connect(scope, served);
      await rejectsWith(channel.request(Buffer.from('x')), 'ERR_REQUEST_FAILED');
      await rejectsWith(
        channel.request(() => odd, { exactlyOnce: true }),
        'ERR_OUTCOME_UNKNOWN',
      );
      assert.equal(text(await channel.request(Buffer.from('on'), { exactlyOnce: true })), 'on');
    });
  }

  it('does not send a request that its own payload function cancels', async () => {
    await using scope = new Scope();
    let calls = 0;
    const served = await serve(scope, () => void (calls += 1));
    const channel = connect(scope, served);
    const controller = new AbortController();
    const stream = createReadStream(file);
    const asked = channel.request(
      () => {
        controller.abort();
        return stream;
      },
      { signal: controller.signal },
    );
    await rejectsWith(asked, 'ERR_NOT_PROCESSED');
    await channel.request(Buffer.from('x'));
    assert.deepEqual({ calls, destroyed: stream.destroyed }, { calls: 1, destroyed: true });
  });

  it('sends both requests where a payload function makes another one, and there is room for one', async () => {
    await using scope = new Scope();
    const served = await serve(scope, echo, { maxRequests: 1 });
    const channel = connect(scope, served);
    await channel.request(Buffer.from('greeted'));
    let inner: Promise<Uint8Array> | undefined;
    const outer = channel.request(() => {
      inner = channel.request(Buffer.from('inner'));
      return chunksOf('outer');
    });
    const replies = { outer: text(await outer), inner: text(await inner!) };
    assert.deepEqual(replies, { outer: 'outer', inner: 'inner' });
    assert.equal(served.sockets.size, 1);
  });

  for (const [title, isCancelled] of [
    ['is cancelled', true],
    ['has lost its connection', false],
  ] as const) {
    it(`closes the stream that a handler returns for a request that ${title}`, async () => {
      await using scope = new Scope();
      const begun = deferred<void>();
      const stream = createReadStream(file);
      const closed = once(stream, 'close');
      const served = await serve(scope, async (request) => {
        begun.resolve();
        await once(request.signal, 'abort');
        return stream;
      });
      const controller = new AbortController();
      const asked = connect(scope, served).request(Buffer.from('x'), { signal: controller.signal });
      const ended = rejectsWith(asked, 'ERR_OUTCOME_UNKNOWN');
      await begun.promise;
      if (isCancelled) controller.abort();
      else for (const socket of served.sockets) socket.destroy();
      await ended;
      await closed;
    });
  }

  it('throws in a handler that reads on after its reply', async () => {
    await using scope = new Scope();
    const read = deferred<unknown>();
    const served = await serve(scope, (request) => {
      queueMicrotask(() => request.bytes().then(read.resolve, read.resolve));
      return Buffer.from('accepted');
    });
    assert.equal(text(await connect(scope, served).request(Buffer.from('important'))), 'accepted');
    const error = await read.promise;
    assert.ok(error instanceof LastCallError && error.code === 'ERR_CHANNEL_READ', String(error));
  });

  it('serves a reader that calls `next` before it has the last chunk', async () => {
    await using scope = new Scope();
    const served = await serve(scope, async function* () {
      yield await Promise.resolve(Buffer.from('a'));
    });
    const reply = (await connect(scope, served).requestChunks(Buffer.alloc(0)))[Symbol.asyncIterator]();
    const [first, second, third] = await Promise.all([reply.next(), reply.next(), reply.next()]);
    assert.equal(text(first.value), 'a');
    assert.deepEqual({ second: second.done, third: third.done }, { second: true, third: true });
  });

  it('takes a reply from an object that only behaves like a promise', async () => {
    await using scope = new Scope();
    const served = await serve(scope, () => {
      const likePromise = {
        // oxlint-disable-next-line no-thenable -- what is tested
        then: (resolve: (reply: Uint8Array) => void) => resolve(Buffer.from('then')),
      };
      return likePromise as Promise<Uint8Array>;
    });
    assert.equal(text(await connect(scope, served).request(Buffer.alloc(0))), 'then');
  });

  it('settles every request where a GOODBYE names one below a reply that has begun', async () => {
    await using scope = new Scope();
    const strange = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.write(hello({ maxRequests: 9 }));
      const reader = new WireReader(socket);
      const asked = (): number => reader.kinds.filter((kind) => kind === 'request').length;
      const begun = frame('reply', 2, Buffer.from('part'), 0);
      void until(() => asked() === 2).then(() =>
        socket.write(Buffer.concat([begun, frame('goodbye', 0, Buffer.alloc(6))])),
      );
    });
    strange.listen({ host: '127.0.0.1', port: 0 });
    await once(strange, 'listening');
    scope.defer(() => strange.close());
    const { port } = strange.address() as net.AddressInfo;
    const channel = connectChannel({ host: '127.0.0.1', port });
    const asked = [1, 2].map((n) => channel.request(Buffer.from(`${n}`)));
    await Promise.all(asked.map((one) => rejectsWith(one, 'ERR_OUTCOME_UNKNOWN')));
    await channel.close({ deadline: 0 });
  });

  it('gives back the credit of a cancelled upload, although its handler goes on', async () => {
    await using scope = new Scope();
    const never = deferred<Uint8Array>();
    let begun = 0;
    const served = await serve(scope, async (request) => {
      begun += 1;
      const chunks = request[Symbol.asyncIterator]();
      const { value } = await chunks.next();
      return value?.length === 5 ? value : never.promise;
    });
    const channel = connect(scope, served);
    for (let upload = 0; upload < 8; upload++) {
      const controller = new AbortController();
      const asked = channel.request(Buffer.alloc(1_000_000), { signal: controller.signal });
      await until(() => begun > upload);
      const ended = rejectsWith(asked, 'ERR_OUTCOME_UNKNOWN');
      controller.abort();
      await ended;
    }
    assert.equal(text(await channel.request(Buffer.from('small'))), 'small');
    never.resolve(Buffer.alloc(0));
  });

  it('frees the memory of requests that have left the queue while others wait', async () => {
    const queue = new RequestQueue();
    let gone = 0;
    const registry = new FinalizationRegistry(() => (gone += 1));
    const push = (): void => {
      const request = new ClientRequest(
        completeRequest(Buffer.alloc(100_000)),
        false,
        () => {},
        () => {},
      );
      registry.register(request, undefined);
      queue.push(request);
    };
    push();
    for (let cycle = 0; cycle < 1_000; cycle++) {
      push();
      queue.take();
    }
    // New memory makes the garbage collector run.
    await until(() => Buffer.alloc(10_000_000).length > 0 && gone > 900);
    assert.equal(queue.isEmpty, false);
  });

  it('searches once, and not for each request, for the one that has waited longest', async (t) => {
    const looked = t.mock.getter(RequestQueue.prototype, 'waitingSince', () => 0);
    const channel = connectChannel({ host: '127.0.0.1', port: 1 }, { giveUpAfter: 60_000 });
    const asked = Array.from({ length: 1_000 }, () => channel.request(Buffer.alloc(1)));
    assert.ok(looked.mock.callCount() <= 1, `${looked.mock.callCount()} times`);
    const all = Promise.all(asked.map((one) => rejectsWith(one, 'ERR_NOT_PROCESSED')));
    await channel.close({ deadline: 0 });
    await all;
  });
});

async function* chunksOf(word: string): AsyncGenerator<Uint8Array, void> {
  yield await Promise.resolve(Buffer.from(word));
}
