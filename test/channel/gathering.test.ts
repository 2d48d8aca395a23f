import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type ChannelRequest, memoryStore } from '../../src/channel.ts';
import { FRAME } from '../../src/channel/wire/frames.ts';
import { Gathering } from '../../src/channel/flow/gathering.ts';
import { count } from '../harness/counts.ts';
import { Scope } from '../harness/scope.ts';
import { connect, connectRaw, deferred, rejectsWith, serve, until } from './open-channel.ts';
import { frame, hello, WireReader } from './wire.ts';

const KIBI = 1_024;
const WINDOW = 16 * KIBI;
/** Limits under which a payload of 256 KiB is long, and twenty first windows fill half of the room. */
const SMALL = { maxFrame: 4 * KIBI, maxUnread: 4 * WINDOW, maxPayload: 256 * KIBI, maxGathered: 40 * WINDOW };

/** How many long payloads a client has at once. */
const LONG = count(300, 90);

/** Counts the most bytes that payloads of all connections held together while they were read whole, and how many waited and ended. */
function watch(t: TestContext): {
  readonly most: () => number;
  readonly waited: () => number;
  readonly ended: () => number;
} {
  const held = new Map<object, number>();
  let most = 0;
  const { hold, ask, end } = Gathering.prototype;
  const note = (): void => {
    most = Math.max(
      most,
      [...held.values()].reduce((sum, bytes) => sum + bytes, 0),
    );
  };
  const waited = new Set<object>();
  let ended = 0;
  t.mock.method(Gathering.prototype, 'hold', function (this: Gathering, ...args: Parameters<typeof hold>) {
    const fits = hold.apply(this, args);
    held.set(args[0], args[0].early + args[0].allowed);
    note();
    return fits;
  });
  t.mock.method(Gathering.prototype, 'ask', function (this: Gathering, ...args: Parameters<typeof ask>) {
    ask.apply(this, args);
    held.set(args[0], args[0].early + args[0].allowed);
    if (args[0].waiting > 0) waited.add(args[0]);
    note();
  });
  t.mock.method(Gathering.prototype, 'end', function (this: Gathering, ...args: Parameters<typeof end>) {
    end.apply(this, args);
    held.delete(args[0]);
    ended += 1;
  });
  return { most: () => most, waited: () => waited.size, ended: () => ended };
}

describe('Payloads that are read whole', { timeout: 300_000 }, () => {
  for (const [direction, asked, answered, inChunks] of [
    ['requests', SMALL.maxPayload, 1, false],
    ['requests that are read inside their reply', SMALL.maxPayload, 1, true],
    ['replies', 1, SMALL.maxPayload, false],
  ] as const) {
    it(`all arrive where the ${direction} together exceed the limit, because some wait for the others`, async (t) => {
      await using scope = new Scope();
      const watched = watch(t);
      const reply = async (request: ChannelRequest): Promise<Buffer> => Buffer.alloc(answered, await request.bytes());
      const replyInChunks = async function* (request: ChannelRequest): AsyncGenerator<Buffer, void> {
        yield await reply(request);
      };
      const served = await serve(scope, inChunks ? replyInChunks : reply, SMALL);
      const channel = connect(scope, served, SMALL);
      const all = Array.from({ length: 20 }, (_, index) =>
        channel.request(Buffer.alloc(asked, index), index % 2 === 0 ? {} : { exactlyOnce: true }),
      );
      for (const [index, reply] of (await Promise.all(all)).entries()) {
        assert.ok(reply.length === answered && reply.every((byte) => byte === index), `reply ${index}`);
      }
      assert.ok(watched.waited() > 5, `${watched.waited()} have waited`);
      // The oldest may be whole, and gets credit for one window beyond its end.
      const bound = SMALL.maxGathered + SMALL.maxPayload + WINDOW;
      assert.ok(watched.most() <= bound, `${watched.most()} of ${bound} bytes`);
      assert.deepEqual(served.errors, []);
    });
  }

  it('all arrive no matter how many a client has at once, because it begins a few at a time', async (t) => {
    await using scope = new Scope();
    const watched = watch(t);
    const served = await serve(scope, async (request) => Buffer.alloc(1, (await request.bytes()).length), SMALL);
    const channel = connect(scope, served, SMALL);
    const long = Array.from({ length: LONG }, () => channel.request(Buffer.alloc(SMALL.maxPayload)));
    // A short request overtakes them.
    const short = await channel.request(Buffer.alloc(1));
    assert.equal(short[0], 1);
    assert.ok(watched.ended() < LONG / 3, `${watched.ended()} long ones came first`);
    assert.equal((await Promise.all(long)).length, LONG);
    assert.deepEqual({ ended: watched.ended(), errors: served.errors }, { ended: LONG, errors: [] });
  });

  it('hold more under a higher limit (control)', async (t) => {
    await using scope = new Scope();
    const watched = watch(t);
    const limits = { ...SMALL, maxGathered: 20 * SMALL.maxPayload };
    const served = await serve(scope, (request) => request.bytes(), limits);
    const channel = connect(scope, served, limits);
    await Promise.all(Array.from({ length: 20 }, () => channel.request(Buffer.alloc(SMALL.maxPayload))));
    assert.equal(watched.waited(), 0);
    assert.ok(watched.most() > SMALL.maxGathered + SMALL.maxPayload + WINDOW, `${watched.most()} bytes`);
  });

  it('let a client send no more than there is room for, except the oldest payload', async () => {
    await using scope = new Scope();
    const maxGathered = 6 * WINDOW;
    const served = await serve(scope, (request) => request.bytes(), { ...SMALL, maxGathered });
    const socket = await connectRaw(scope, served);
    const reader = new WireReader(socket);
    socket.write(hello());
    const granted = (id: number): number =>
      reader.frames
        .filter((credit) => credit.kind === FRAME.credit && credit.id === id)
        .reduce((sum, { payload }) => sum + payload.readUInt32BE(), 0);
    const sent = new Map<number, number>();
    const send = (id: number, flags = 0): void => {
      const before = sent.get(id);
      sent.set(id, (before ?? 0) + 4 * KIBI);
      socket.write(frame(before === undefined ? 'request' : 'data', id, Buffer.alloc(4 * KIBI), flags));
    };
    // Three payloads use their first windows, and all credit beyond.
    const others = [2, 3, 4];
    for (const id of [1, ...others]) send(id);
    for (let round = 0; round < 40; round++) {
      for (const id of others) if ((sent.get(id) ?? 0) + 4 * KIBI <= WINDOW + granted(id)) send(id);
      socket.write(frame('ping', 0, Buffer.alloc(8, round), 0));
      await until(() => reader.kinds.filter((kind) => kind === 'pong').length > round);
    }
    const taken = others.reduce((sum, id) => sum + (sent.get(id) ?? 0), 0);
    assert.ok(taken <= maxGathered, `${taken} bytes were taken`);
    assert.ok(taken >= 3 * WINDOW, `${taken} bytes were taken`);
    // The oldest arrives whole.
    while ((sent.get(1) ?? 0) < SMALL.maxPayload - 4 * KIBI) {
      await until(() => (sent.get(1) ?? 0) + 4 * KIBI <= WINDOW + granted(1));
      send(1);
    }
    const before = others.map(granted);
    send(1, 1);
    await reader.first('reply');
    // Then there is room.
    await until(() => others.some((id, index) => granted(id) > (before[index] ?? 0)));
    assert.ok(!reader.kinds.includes('error'), reader.kinds.join(' '));
  });

  it('are refused, with the name of the limit, where their first windows alone are too much', async () => {
    await using scope = new Scope();
    const served = await serve(scope, (request) => request.bytes(), {
      ...SMALL,
      maxGathered: 16 * KIBI,
      store: memoryStore(),
    });
    const socket = await connectRaw(scope, served);
    const reader = new WireReader(socket);
    socket.write(hello());
    for (const id of [1, 2, 3]) socket.write(frame('request', id, Buffer.alloc(4 * KIBI), 0));
    const key = Buffer.from([1, 0x6b]);
    socket.write(frame('request', 4, Buffer.concat([key, Buffer.alloc(1 * KIBI)]), 2));
    const failure = await reader.first('failure');
    assert.deepEqual({ id: failure.id, code: failure.payload.readUInt16BE() }, { id: 4, code: 2 });
    assert.match(String(failure.payload), /maxGathered/);
    socket.write(frame('request', 5, Buffer.alloc(1 * KIBI), 0));
    await until(() => reader.kinds.filter((kind) => kind === 'failure').length === 2);
    assert.match(String(reader.frames.at(-1)?.payload), /maxGathered/);
    // A payload of one frame holds nothing.
    socket.write(frame('request', 6, Buffer.from('whole')));
    assert.equal((await reader.first('reply')).id, 6);
    assert.ok(!reader.kinds.includes('error'), reader.kinds.join(' '));
  });

  it('do not wait while their request is unsent, because they may be its echo', async () => {
    await using scope = new Scope();
    const limits = { ...SMALL, maxGathered: 0 };
    const isEchoed = deferred<void>();
    const served = await serve(
      scope,
      async function* (request) {
        let length = 0;
        for await (const chunk of request) {
          length += chunk.length;
          if (length > 40 * KIBI) isEchoed.resolve();
          yield chunk;
        }
        if (length > 1) return;
        await isEchoed.promise;
        yield Buffer.alloc(2 * WINDOW);
      },
      SMALL,
    );
    const channel = connect(scope, served, limits);
    // The first reply has begun, and ends only after most of the second was echoed. The second would wait for the first.
    const first = channel.request(Buffer.alloc(1));
    await until(() => served.sockets.size === 1);
    const second = channel.request(Buffer.alloc(60 * KIBI));
    const lengths = { second: (await second).length, first: (await first).length };
    assert.deepEqual(lengths, { second: 60 * KIBI, first: 2 * WINDOW + 1 });
  });

  it('make room when they are cancelled', async () => {
    await using scope = new Scope();
    const served = await serve(scope, (request) => request.bytes(), { ...SMALL, maxGathered: 0 });
    const channel = connect(scope, served);
    const controller = new AbortController();
    const never = deferred<Uint8Array>();
    let begun = 0;
    const stuck = channel.request(
      async function* () {
        begun += 1;
        yield Buffer.alloc(KIBI);
        yield await never.promise;
      },
      { signal: controller.signal },
    );
    await until(() => begun === 1);
    const second = channel.request(async function* () {
      begun += 1;
      yield await Promise.resolve(Buffer.alloc(1));
    });
    await rejectsWith(second, 'ERR_REQUEST_FAILED');
    controller.abort();
    await rejectsWith(stuck, 'ERR_OUTCOME_UNKNOWN');
    assert.equal((await channel.request(Buffer.alloc(60 * KIBI))).length, 60 * KIBI);
    never.resolve(Buffer.alloc(1));
  });
});
