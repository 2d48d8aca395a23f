import assert from 'node:assert/strict';
import type net from 'node:net';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { type Channel, type ChannelHandler, type ChannelPeer, memoryStore } from '../../src/channel.ts';
import { encodeKey } from '../../src/channel/wire/payloads.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms } from '../harness/needs.ts';
import { Scope } from '../harness/scope.ts';
import { connect, connectRaw, echo, rejectsWith, type Served, serve, text } from './open-channel.ts';
import { frame, hello, WireReader } from './wire.ts';

const KEY = 'invoice 4711';
const pay = Buffer.from('pay 10');

/** Answers with how often it was called. */
function countCalls(): ChannelHandler {
  let calls = 0;
  return () => Buffer.from(`${++calls}`);
}

describe('A key belongs to the client that has made it', { timeout: 300_000 }, () => {
  it('so that another client with the same key gets no reply of its', async () => {
    await using scope = new Scope();
    const served = await serve(scope, countCalls());
    const [one, other] = [connect(scope, served), connect(scope, served)];
    const replies = [
      text(await one.request(pay, { exactlyOnce: KEY })),
      text(await other.request(pay, { exactlyOnce: KEY })),
      text(await one.request(pay, { exactlyOnce: KEY })),
    ];
    assert.deepEqual(replies, ['1', '2', '1']);
  });

  it('control: clients with the same identity are one client, also after a restart of theirs', async () => {
    await using scope = new Scope();
    const served = await serve(scope, countCalls());
    const identity = 'a secret of both';
    const one = connect(scope, served, { identity });
    assert.equal(text(await one.request(pay, { exactlyOnce: KEY })), '1');
    await one.close();
    const other = connect(scope, served, { identity });
    assert.equal(text(await other.request(pay, { exactlyOnce: KEY })), '1');
  });

  it('and stays its own when it connects again', async () => {
    await using scope = new Scope();
    const served = await serve(scope, countCalls());
    const channel = connect(scope, served);
    assert.equal(text(await channel.request(pay, { exactlyOnce: KEY })), '1');
    for (const socket of served.sockets) socket.destroy();
    assert.equal(text(await channel.request(pay, { exactlyOnce: KEY })), '1');
    assert.equal(served.sockets.size, 2);
  });

  it('so that nobody else can have it forgotten', async () => {
    await using scope = new Scope();
    const served = await serve(scope, countCalls());
    const channel = connect(scope, served, { identity: 'the owner' });
    assert.equal(text(await channel.request(pay, { exactlyOnce: KEY })), '1');
    await sayReceived(scope, served, 'somebody else');
    await sayReceived(scope, served, '');
    assert.equal(text(await channel.request(pay, { exactlyOnce: KEY })), '1');
  });

  it('control: the owner can have it forgotten', async () => {
    await using scope = new Scope();
    const served = await serve(scope, countCalls());
    const channel = connect(scope, served, { identity: 'the owner' });
    assert.equal(text(await channel.request(pay, { exactlyOnce: KEY })), '1');
    await sayReceived(scope, served, 'the owner');
    assert.equal(text(await channel.request(pay, { exactlyOnce: KEY })), '2');
  });

  it('and clients that send no identity share theirs', async () => {
    await using scope = new Scope();
    const served = await serve(scope, countCalls());
    for (const _ of ['one', 'other']) {
      const channel = connect(scope, served, { identity: '' });
      assert.equal(text(await channel.request(pay, { exactlyOnce: KEY })), '1');
    }
  });
});

describe('A key belongs to one payload', { timeout: 300_000 }, () => {
  for (const [title, ask] of [
    ['after it was processed', async (first: Promise<unknown>) => void (await first)],
    ['while it is processed', () => Promise.resolve()],
  ] as const) {
    it(`so that with another one it is an error, ${title}`, async () => {
      await using scope = new Scope();
      const served = await serve(scope, echo);
      const channel = connect(scope, served);
      const first = channel.request(pay, { exactlyOnce: KEY });
      await ask(first);
      const error = await rejectsWith(channel.request(Buffer.from('pay 99'), { exactlyOnce: KEY }), 'ERR_KEY_REUSED');
      assert.match(error.message, /another payload/);
      assert.equal(text(await first), 'pay 10');
      assert.equal(text(await channel.request(pay, { exactlyOnce: KEY })), 'pay 10');
    });
  }

  it('where the store keeps the digest; control: where it does not, the first outcome is the answer', async () => {
    await using scope = new Scope();
    const store = memoryStore();
    const served = await serve(scope, echo, {
      store: {
        name: 'without digests',
        remembers: 60_000,
        claim: (key, owner) => store.claim(key, owner),
        keep: (key, outcome) =>
          store.keep(key, 'reply' in outcome ? { reply: outcome.reply } : { failure: outcome.failure }),
        forget: (key) => store.forget(key),
      },
    });
    const channel = connect(scope, served);
    await channel.request(pay, { exactlyOnce: KEY });
    assert.equal(text(await channel.request(Buffer.from('pay 99'), { exactlyOnce: KEY })), 'pay 10');
  });
});

describe('The room of a store is shared out among clients', { timeout: 300_000 }, () => {
  it('so that one that fills it leaves room for another', async () => {
    await using scope = new Scope();
    const served = await serve(scope, echo, { store: memoryStore({ maxBytes: 100_000 }) });
    const [greedy, other] = [connect(scope, served), connect(scope, served)];
    const kept = await fill(greedy, 'greedy');
    // Half of it, and not all.
    assert.ok(kept >= 3 && kept <= 5, `${kept} kept`);
    assert.equal(text(await other.request(pay, { exactlyOnce: KEY })), 'pay 10');
    assert.equal(await fill(other, 'other'), 2);
  });

  it('control: clients that are one to the server fill it for each other', async () => {
    await using scope = new Scope();
    const served = await serve(scope, echo, { store: memoryStore({ maxBytes: 100_000 }), identify: () => 'anybody' });
    const [greedy, other] = [connect(scope, served), connect(scope, served)];
    await fill(greedy, 'greedy');
    assert.equal(await fill(other, 'other'), 0);
  });

  it('and what others keep is not removed for it', async () => {
    await using scope = new Scope();
    const served = await serve(scope, countCalls(), { store: memoryStore({ maxBytes: 100_000 }) });
    const [quiet, greedy] = [connect(scope, served), connect(scope, served)];
    assert.equal(text(await quiet.request(pay, { exactlyOnce: KEY })), '1');
    await fill(greedy, 'greedy');
    assert.equal(text(await quiet.request(pay, { exactlyOnce: KEY })), '1');
  });
});

describe('A server says who a client is', { timeout: 300_000 }, () => {
  it('by `identify`, so that clients of one identity share their keys, and handlers see it', async () => {
    await using scope = new Scope();
    const seen: unknown[] = [];
    const calls = countCalls();
    const served = await serve(scope, (request) => (seen.push(request.peer.identity, request.key), calls(request)), {
      identify: ({ hello: name, remote, socket, tls: secure }) => {
        assert.ok(remote.startsWith('127.0.0.1:') && socket.remotePort !== undefined && secure === undefined);
        return name.split(':')[0];
      },
    });
    for (const identity of ['al/ice:1', 'al/ice:2', 'bob:1']) {
      await connect(scope, served, { identity }).request(pay, { exactlyOnce: KEY });
    }
    assert.deepEqual(seen, ['al/ice', `al%2Fice/${KEY}`, 'bob', `bob/${KEY}`]);
  });

  it('by a digest of the identity in the greeting, where `identify` returns undefined: handlers do not see the secret', async () => {
    await using scope = new Scope();
    const peers: ChannelPeer[] = [];
    const served = await serve(scope, echo, { identify: () => undefined, onPeer: (peer) => void peers.push(peer) });
    await connect(scope, served, { identity: 'a secret' }).request(pay);
    assert.match(peers[0]?.identity ?? '', /^[\w-]{43}$/);
  });

  for (const [title, identify] of [
    ['throws', () => assert.fail('unknown client')],
    ['returns no string', () => 7 as unknown as string],
    ['returns an empty string', () => ''],
  ] as const) {
    it(`and accepts none for which \`identify\` ${title}`, async () => {
      await using scope = new Scope();
      const served = await serve(scope, echo, { identify });
      const reader = await greet(scope, served, hello());
      const error = await reader.first('error');
      assert.match(text(error.payload.subarray(2)), /does not accept this client/);
      assert.match(String(served.errors[0]), title === 'throws' ? /unknown client/ : /Expected `identify` to return/);
    });
  }

  it('by the certificate of TLS, which handlers see, too', { skip: needsPrograms('openssl') }, async () => {
    await using scope = new Scope();
    const seen: unknown[] = [];
    const certificate = makeCertificate();
    const server = tls.createServer({ ...certificate, requestCert: true, rejectUnauthorized: false });
    const handler: ChannelHandler = ({ peer }) => {
      seen.push([peer.identity, peer.tls?.authorized, peer.tls?.certificate?.fingerprint256]);
    };
    const identify = ({ tls: secure }: { readonly tls: ChannelPeer['tls'] }): string =>
      secure?.certificate?.fingerprint256 ?? 'nobody';
    const served = await serve(scope, handler, { identify }, { server });
    const plain = { rejectUnauthorized: false };
    await connect(scope, served, { tls: { ...plain, ...certificate } }).request(pay);
    await connect(scope, served, { tls: plain }).request(pay);
    const [[shown] = []] = seen as string[][];
    assert.match(shown ?? '', /^([\dA-F]{2}:){31}[\dA-F]{2}$/);
    assert.deepEqual(seen, [
      [shown, false, shown],
      ['nobody', false, undefined],
    ]);
  });
});

/** Asks with one key after the other for a reply of 9 kB until one is not kept. Returns how many were. */
async function fill(channel: Channel, name: string): Promise<number> {
  for (let kept = 0; ; kept++) {
    const isKept = await channel.request(Buffer.alloc(9_000), { exactlyOnce: `${name} ${kept}` }).then(
      () => true,
      () => false,
    );
    if (!isKept) return kept;
  }
}

/** Sends RECEIVED by hand, and waits until the server has read it. */
async function sayReceived(scope: Scope, served: Served, identity: string): Promise<void> {
  const key = frame('received', 0, encodeKey(KEY), 0);
  const reader = await greet(
    scope,
    served,
    Buffer.concat([hello({ store: identity }), key, frame('ping', 0, Buffer.alloc(8), 0)]),
  );
  await reader.first('pong');
}

async function greet(scope: Scope, served: Served, words: Uint8Array): Promise<WireReader> {
  const socket: net.Socket = await connectRaw(scope, served);
  const reader = new WireReader(socket);
  socket.write(words);
  return reader;
}
