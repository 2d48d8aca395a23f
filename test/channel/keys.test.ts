import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { memoryStore, type OutcomeStore } from '../../src/channel.ts';
import { boundKey, identityBy } from '../../src/channel/server/caller.ts';
import { Outcomes } from '../../src/channel/server/outcomes.ts';
import { Scope } from '../harness/scope.ts';
import { connect, connectRaw, deferred, echo, rejectsWith, serve, text, until } from './open-channel.ts';
import { frame, hello, WireReader } from './wire.ts';

const nothing = Buffer.alloc(0);

/** Several channels of one client. */
const ONE_CLIENT = { identity: 'one client' } as const;
const K = boundKey(identityBy(ONE_CLIENT.identity), 'k');

/** A store that does one thing differently. */
function storeWith(changes: Partial<OutcomeStore>): OutcomeStore {
  const store = memoryStore();
  return {
    name: store.name,
    remembers: store.remembers,
    claim: (key) => store.claim(key),
    keep: (key, outcome) => store.keep(key, outcome),
    forget: (key) => store.forget(key),
    ...changes,
  };
}

describe('A request with a key', { timeout: 300_000 }, () => {
  it('has an unknown outcome where the store has no room for its reply, and is not processed again', async () => {
    await using scope = new Scope();
    let calls = 0;
    const store = memoryStore({ maxBytes: 10_000 });
    const served = await serve(scope, () => Buffer.alloc(20_000, ++calls), { store });
    const channel = connect(scope, served, ONE_CLIENT);
    const error = await rejectsWith(channel.request(nothing, { exactlyOnce: 'k' }), 'ERR_OUTCOME_UNKNOWN');
    assert.match(error.message, /could not keep how it ended/);
    // It can be neither forgotten nor claimed.
    void store.forget(K);
    assert.equal(await store.claim(K), 'under way');
    assert.equal(calls, 1);
  });

  it('has its reply counted in `maxBytes`', () => {
    const store = memoryStore({ maxBytes: 10_000 });
    let kept = 0;
    assert.throws(() => {
      for (; kept < 100; kept++) {
        void store.claim(`key ${kept}`);
        void store.keep(`key ${kept}`, { reply: Buffer.alloc(1_000) });
      }
    }, /bytes/);
    assert.ok(kept >= 7 && kept < 10, `${kept} replies were kept`);
  });

  it('is processed once by two servers with one store, even if a client claims to have the outcome', async () => {
    await using scope = new Scope();
    let calls = 0;
    const goOn = deferred<void>();
    const store = memoryStore();
    const handler = async (): Promise<Uint8Array> => {
      calls += 1;
      await goOn.promise;
      return Buffer.from(`${calls}`);
    };
    const [one, other] = [await serve(scope, handler, { store }), await serve(scope, handler, { store })];
    const first = connect(scope, one, ONE_CLIENT).request(nothing, { exactlyOnce: 'k' });
    await until(() => calls === 1);
    const socket = await connectRaw(scope, other);
    const reader = new WireReader(socket);
    const key = Buffer.from([1, 0x6b]);
    socket.write(
      Buffer.concat([
        hello({ store: ONE_CLIENT.identity }),
        frame('received', 0, key, 0),
        frame('ping', 0, Buffer.alloc(8), 0),
      ]),
    );
    await reader.first('pong');
    const second = connect(scope, other, ONE_CLIENT).request(nothing, { exactlyOnce: 'k' });
    socket.write(frame('request', 1, key, 3));
    socket.write(frame('ping', 0, Buffer.alloc(8), 0));
    await until(() => reader.kinds.filter((kind) => kind === 'pong').length === 2);
    goOn.resolve();
    const replies = { first: text(await first), second: text(await second) };
    assert.deepEqual({ ...replies, calls }, { first: '1', second: '1', calls: 1 });
    assert.equal(text((await reader.first('reply')).payload), '1');
  });

  it('goes on while one of the requests with its key is not cancelled', async (t) => {
    await using scope = new Scope();
    const resolved = t.mock.method(Outcomes.prototype, 'resolve');
    const goOn = deferred<void>();
    let aborted = 0;
    const served = await serve(scope, async (request) => {
      if (request.key === undefined) return nothing;
      request.signal.addEventListener('abort', () => (aborted += 1));
      await goOn.promise;
      return Buffer.from('done');
    });
    const asked = [new AbortController(), new AbortController(), new AbortController()].map((controller) => {
      const { signal } = controller;
      const channel = connect(scope, served, ONE_CLIENT);
      return { controller, channel, reply: channel.request(nothing, { exactlyOnce: 'k', signal }) };
    });
    await until(() => resolved.mock.callCount() === 3);
    for (const { controller, channel, reply } of asked.slice(1)) {
      const ended = rejectsWith(reply, 'ERR_OUTCOME_UNKNOWN');
      controller.abort();
      await ended;
      // The server has received the cancel when it answers the next request.
      await channel.request(nothing);
    }
    goOn.resolve();
    assert.deepEqual({ reply: text(await asked[0]!.reply), aborted }, { reply: 'done', aborted: 0 });
  });

  it('is aborted when all requests with its key are cancelled', async (t) => {
    await using scope = new Scope();
    const resolved = t.mock.method(Outcomes.prototype, 'resolve');
    const aborted = deferred<unknown>();
    const served = await serve(scope, async (request) => {
      request.signal.addEventListener('abort', () => aborted.resolve(request.signal.reason));
      await aborted.promise;
      return nothing;
    });
    const asked = [new AbortController(), new AbortController()];
    const replies = asked.map(({ signal }) =>
      rejectsWith(
        connect(scope, served, ONE_CLIENT).request(nothing, { exactlyOnce: 'k', signal }),
        'ERR_OUTCOME_UNKNOWN',
      ),
    );
    await until(() => resolved.mock.callCount() === 2);
    for (const controller of asked) controller.abort();
    await Promise.all(replies);
    assert.match(String(await aborted.promise), /cancelled the request/);
  });

  for (const [isOwn, exactlyOnce, code] of [
    [true, 'mine', 'ERR_OUTCOME_UNKNOWN'],
    [false, true, 'ERR_NOT_PROCESSED'],
  ] as const) {
    it(`that ${isOwn ? 'the program' : 'the client'} made ends with ${code} while the store is away`, async () => {
      await using scope = new Scope();
      let isAway = false;
      const claimed = memoryStore();
      const store = storeWith({
        claim: (key) => {
          if (isAway) throw new Error('The database is away');
          return claimed.claim(key);
        },
      });
      let calls = 0;
      const served = await serve(scope, () => Buffer.from(`${++calls}`), { store });
      const channel = connect(scope, served);
      assert.equal(text(await channel.request(nothing, { exactlyOnce })), '1');
      isAway = true;
      const error = await rejectsWith(channel.request(nothing, { exactlyOnce }), code);
      // The client does not get the store's error.
      assert.match(error.message, /the server cannot remember it$/);
      assert.match(String(served.errors), /The database is away/);
    });
  }

  for (const [title, claim] of [
    ['returns nothing', () => undefined],
    ['returns an unknown word', () => 'done'],
    ['returns an invalid outcome', () => ({ reply: 'text' })],
    ['throws undefined', () => Promise.reject(undefined)],
  ] as const) {
    it(`is not processed where the store's claim ${title}`, async () => {
      await using scope = new Scope();
      let calls = 0;
      const store = storeWith({ claim: claim as unknown as OutcomeStore['claim'] });
      const served = await serve(scope, () => void (calls += 1), { store });
      const channel = connect(scope, served);
      await rejectsWith(channel.request(nothing, { exactlyOnce: true }), 'ERR_NOT_PROCESSED');
      await channel.request(nothing);
      assert.equal(calls, 1);
    });
  }

  it('has an unknown outcome where the store cannot keep it', async () => {
    await using scope = new Scope();
    const store = storeWith({ keep: () => Promise.reject(new Error('The disk is full')) });
    const served = await serve(scope, echo, { store });
    const asked = connect(scope, served).request(Buffer.from('x'), { exactlyOnce: true });
    assert.match((await rejectsWith(asked, 'ERR_OUTCOME_UNKNOWN')).message, /could not keep/);
    assert.match(String(served.errors), /The disk is full/);
  });
});
