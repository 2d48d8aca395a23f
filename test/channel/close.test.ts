import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import type { Channel } from '../../src/channel.ts';
import { ERROR_CODES } from '../../src/channel/wire/frames.ts';
import { gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import tls from 'node:tls';
import { needsPrograms } from '../harness/needs.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import {
  closePlainly,
  connect,
  connectRaw,
  deferred,
  echo,
  rejectsWith,
  serve,
  type Served,
  text,
  until,
} from './open-channel.ts';
import { frame, hello, WireReader } from './wire.ts';

const CLIENTS = 20;

describe('gracefulClose of a server with a channel', { timeout: 300_000 }, () => {
  for (const how of ['TCP', 'a Unix socket', 'TLS'] as const) {
    const skip = how === 'TLS' && needsPrograms('openssl');
    const proof = prove(`requests under way over a channel on ${how}`);

    it(`sends the farewell over ${how}, and ends each connection after the answer and the last reply`, {
      skip,
    }, async (t) => {
      await using scope = new Scope();
      const { served, clients, asked, answer } = await requestOver(how, scope);
      const closed = gracefulClose(served.server, { deadline: 20_000 });
      // Each client has received the farewell.
      await until(() => !clients.some(({ isConnected }) => isConnected));
      answer();
      assert.deepEqual(
        (await Promise.all(asked)).map(text),
        clients.flatMap(() => ['0', '1', '2', '3', '4']),
      );
      const { outcome, connections } = await closed;
      assert.equal(outcome, 'complete');
      assert.deepEqual(connections.farewells, { said: CLIENTS, answered: CLIENTS, unanswered: 0 });
      const { atStart, ended, cut } = connections;
      assert.deepEqual({ atStart, ended, cut }, { atStart: CLIENTS, ended: CLIENTS, cut: [] });
      assert.deepEqual(served.errors, []);
      proof.held(t, { 'under way': asked.length });
    });

    it(`loses all requests under way over ${how} after a plain close (control)`, { skip }, async (t) => {
      await using scope = new Scope();
      const { served, asked } = await requestOver(how, scope);
      const lost = asked.map((one) => rejectsWith(one, 'ERR_OUTCOME_UNKNOWN'));
      await closePlainly(served.server, served.sockets);
      proof.lost(t, (await Promise.all(lost)).length);
    });
  }

  it('sends clients its reason and retry-after, and they go to the next address at once', async () => {
    await using scope = new Scope();
    const first = await serve(scope, () => Buffer.from('first'), {
      farewell: { reason: 'moving on', retryAfter: 60_000 },
    });
    const second = await serve(scope, () => Buffer.from('second'));
    const channel = connect(scope, { target: [first.target, second.target] as never });
    assert.equal(text(await channel.request(Buffer.alloc(0))), 'first');
    const raw = await connectRaw(scope, first);
    const reader = new WireReader(raw);
    raw.write(hello());
    await reader.first('hello');
    const closed = gracefulClose(first.server, { deadline: 10_000 });
    const goodbye = await reader.first('goodbye');
    assert.equal(goodbye.payload.toString('hex'), `0003${(60_000).toString(16).padStart(8, '0')}`);
    raw.end(frame('goodbyeAck', 0));
    assert.equal(text(await channel.request(Buffer.alloc(0))), 'second');
    assert.equal((await closed).outcome, 'complete');
  });

  it('ends a client that never answers at the deadline, and counts it', async () => {
    await using scope = new Scope();
    const served = await serve(scope);
    const raw = await connectRaw(scope, served);
    const reader = new WireReader(raw);
    raw.write(Buffer.concat([hello(), frame('request', 1, Buffer.from('x'))]));
    await reader.first('reply');
    const channel = connect(scope, served);
    await channel.request(Buffer.from('x'));
    const { outcome, connections } = await gracefulClose(served.server, {
      deadline: 1_500,
      idleWait: 100,
      lingerWait: 100,
    });
    assert.equal(outcome, 'forced');
    assert.deepEqual(connections.farewells, { said: 2, answered: 1, unanswered: 1 });
    assert.deepEqual(
      connections.cut.map(({ protocol, reason }) => ({ protocol, reason })),
      [{ protocol: 'channel', reason: 'deadline' }],
    );
    assert.deepEqual(reader.kinds, ['hello', 'reply', 'goodbye']);
  });

  it('ends a client that sends a request after its answer, with an error that names the mistake', async () => {
    await using scope = new Scope();
    let calls = 0;
    const answer = deferred<void>();
    const served = await serve(scope, async () => {
      calls += 1;
      await answer.promise;
    });
    const raw = await connectRaw(scope, served);
    const reader = new WireReader(raw);
    raw.write(Buffer.concat([hello(), frame('request', 1)]));
    await until(() => calls > 0);
    const closed = gracefulClose(served.server, { deadline: 10_000, lingerWait: 500 });
    await reader.first('goodbye');
    raw.write(Buffer.concat([frame('goodbyeAck', 1), frame('request', 2)]));
    const { id, payload } = await reader.first('error');
    assert.deepEqual({ id, code: payload.readUInt16BE() }, { id: 1, code: ERROR_CODES.protocol });
    assert.match(payload.toString('utf8', 2), /A request came after the GOODBYE-ACK/);
    raw.end();
    const { connections } = await closed;
    const { farewells, ended } = connections;
    assert.deepEqual({ farewells, ended }, { farewells: { said: 1, answered: 1, unanswered: 0 }, ended: 1 });
    assert.equal(calls, 1);
    assert.match(String(served.errors[0]), /A request came after the GOODBYE-ACK/);
  });

  it('waits for a client that has vanished only until its sign of life is overdue', async () => {
    await using scope = new Scope();
    const served = await serve(scope, echo, { pingAfter: 200, pingWait: 200 });
    const raw = await connectRaw(scope, served);
    const reader = new WireReader(raw);
    raw.write(hello());
    await reader.first('hello');
    // Like a client whose host has vanished: it neither answers nor ends.
    raw.pause();
    const { outcome, duration, connections } = await gracefulClose(served.server, {
      deadline: 20_000,
      lingerWait: 300,
    });
    assert.ok(duration < 10_000, `${duration} ms`);
    const { farewells } = connections;
    const expected = { outcome: 'complete', farewells: { said: 1, answered: 0, unanswered: 1 } };
    assert.deepEqual({ outcome, farewells }, expected);
    assert.match(String(served.errors[0]), /a PING was not answered/);
  });

  it('ends a client that never sent HELLO as soon as it is quiet', async () => {
    await using scope = new Scope();
    const served = await serve(scope);
    const raw = await connectRaw(scope, served);
    raw.resume();
    await until(() => served.sockets.size > 0);
    const { outcome, connections } = await gracefulClose(served.server, {
      deadline: 20_000,
      idleWait: 100,
      lingerWait: 100,
    });
    const { ended, farewells } = connections;
    assert.deepEqual({ outcome, said: farewells.said, ended }, { outcome: 'complete', said: 0, ended: 1 });
  });

  it("answers a client's own farewell, and ends after the last reply", async () => {
    await using scope = new Scope();
    const answer = deferred<void>();
    const served = await serve(scope, async (request) => {
      await answer.promise;
      return request.bytes();
    });
    const raw = await connectRaw(scope, served);
    const reader = new WireReader(raw);
    raw.write(Buffer.concat([hello(), frame('request', 1, Buffer.from('x')), frame('goodbye', 1, Buffer.alloc(6), 0)]));
    assert.equal((await reader.first('goodbyeAck')).id, 1);
    assert.deepEqual(reader.kinds, ['hello', 'goodbyeAck']);
    answer.resolve();
    await once(raw, 'end');
    assert.deepEqual(reader.kinds, ['hello', 'goodbyeAck', 'reply']);
  });

  it('sends one client the farewell and serves the others; that client comes back', async () => {
    await using scope = new Scope();
    const served = await serve(scope);
    const channels = [connect(scope, served), connect(scope, served)];
    for (const channel of channels) await channel.request(Buffer.from('x'));
    const [peer] = served.channel.peers;
    peer!.goodbye({ reason: 'moving on' });
    await rejectsWith(peer!.send(Buffer.from('x')), 'ERR_CHANNEL_CLOSED');
    const replies = await Promise.all(channels.map((channel) => channel.request(Buffer.from('again'))));
    assert.deepEqual(replies.map(text), ['again', 'again']);
    assert.equal(served.sockets.size, 3);
  });
});

/** Clients whose requests are under way until `answer` is called. */
async function requestOver(
  how: 'TCP' | 'a Unix socket' | 'TLS',
  scope: Scope,
): Promise<{
  readonly served: Served;
  readonly clients: readonly Channel[];
  readonly asked: readonly Promise<Uint8Array>[];
  readonly answer: () => void;
}> {
  const answered = deferred<void>();
  const { key, cert } = how === 'TLS' ? makeCertificate() : { key: undefined, cert: undefined };
  let begun = 0;
  const served = await serve(
    scope,
    async (request) => {
      begun += 1;
      await answered.promise;
      return request.bytes();
    },
    {},
    { overUnix: how === 'a Unix socket', ...(key && { server: tls.createServer({ key, cert }) }) },
  );
  const options = cert === undefined ? {} : { tls: { ca: cert, checkServerIdentity: () => undefined } };
  const clients = Array.from({ length: CLIENTS }, () => connect(scope, served, options));
  const asked = clients.flatMap((client) => Array.from({ length: 5 }, (_, n) => client.request(Buffer.from(`${n}`))));
  await until(() => begun >= asked.length);
  return { served, clients, asked, answer: () => answered.resolve() };
}
