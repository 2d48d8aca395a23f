import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { connectChannel, type LastCallErrorCode, memoryStore, serveChannel } from '../../src/channel.ts';
import { ERROR_CODES } from '../../src/channel/wire/frames.ts';
import { Scope } from '../harness/scope.ts';
import { connect, connectRaw, echo, rejectsWith, serve, type Served, text, until } from './open-channel.ts';
import { type Frame, frame, hello, WireReader } from './wire.ts';

/** Bytes of a client that break the protocol, and the error for them. */
interface Violation {
  readonly title: string;
  readonly bytes: readonly Buffer[];
  readonly error: keyof typeof ERROR_CODES;
  readonly code: LastCallErrorCode;
  readonly says: RegExp;
}

const request = (id: number, length = 0): Buffer => frame('request', id, Buffer.alloc(length));
const open = (length: number): Buffer => frame('request', 1, Buffer.alloc(length), 0);
const more = (length: number): Buffer => frame('data', 1, Buffer.alloc(length), 0);

const VIOLATIONS: readonly Violation[] = [
  violation(
    'another protocol',
    [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    'protocol',
    /does not speak this protocol/,
  ),
  violation('a request before HELLO', [request(1)], 'protocol', /no HELLO/),
  violation('an invalid HELLO', [frame('hello', 0, Buffer.alloc(40), 0)], 'protocol', /it is not a HELLO/),
  violation('a HELLO with limits that are too small', [hello({ credit: 0 })], 'protocol', /its limits are too small/),
  violation('an unknown version', [hello({ versions: [7, 9] })], 'version', /We speak versions 1 to 1/),
  violation('a second HELLO', [hello(), hello()], 'protocol', /A second HELLO/),
  violation(
    'a frame that is too long',
    [hello(), request(1, 65_537)],
    'limit',
    /A frame of 65537 bytes came, where 65536/,
  ),
  violation(
    'a length of 4 GiB',
    [hello(), Buffer.from('ffffffff020100000001', 'hex')],
    'limit',
    /A frame of 4294967295 bytes/,
  ),
  violation(
    'an id that does not rise',
    [hello(), request(2), request(1)],
    'protocol',
    /Request 1 came after request 2/,
  ),
  violation(
    'DATA of a request that did not begin',
    [hello(), more(3)],
    'protocol',
    /More of request 1 came, which did not begin/,
  ),
  violation('DATA of a request that has ended', [hello(), request(1), frame('data', 1)], 'protocol', /after its end/),
  violation(
    'more payload than was granted',
    [hello(), open(65_536), ...Array<Buffer>(4).fill(more(65_536))],
    'limit',
    /than was granted/,
  ),
  violation('an invalid key', [hello(), frame('request', 1, Buffer.from([9, 1]), 3)], 'protocol', /has an invalid key/),
  violation('a CANCEL of a request that did not begin', [hello(), frame('cancel', 9)], 'protocol', /did not begin/),
  violation(
    'a GOODBYE-ACK without a GOODBYE',
    [hello(), frame('goodbyeAck', 0)],
    'protocol',
    /GOODBYE-ACK came without a GOODBYE/,
  ),
  violation(
    'a GOODBYE that names another request',
    [hello(), frame('goodbye', 5, Buffer.alloc(6))],
    'protocol',
    /another last/,
  ),
  violation(
    'a request after its own GOODBYE',
    [hello(), request(1), frame('goodbye', 1, Buffer.alloc(6)), request(2)],
    'protocol',
    /own/,
  ),
  violation('a frame that only servers send', [hello(), frame('reply', 1)], 'protocol', /which no client sends/),
  violation('an unknown kind that must not be ignored', [hello(), frame(0x7f, 0)], 'protocol', /kind 127/),
  violation(
    'a CREDIT of the wrong length',
    [hello(), frame('credit', 0, Buffer.alloc(3))],
    'protocol',
    /A CREDIT has 4 bytes/,
  ),
  violation(
    'more credit than there can be',
    [hello(), frame('credit', 0, Buffer.alloc(4, 0xff))],
    'protocol',
    /More credit/,
  ),
  violation(
    'a PING of the wrong length',
    [hello(), frame('ping', 0, Buffer.alloc(9))],
    'protocol',
    /A PING has 8 bytes/,
  ),
];

describe('A server with a channel', { timeout: 300_000 }, () => {
  for (const { title, bytes, error, code, says } of VIOLATIONS) {
    it(`ends a connection with ${title}, names the error, and serves the others`, async () => {
      await using scope = new Scope();
      let first: unknown;
      // It reads nothing from the client that breaks the protocol, and answers it nothing.
      const served = await serve(scope, async (request) => {
        first ??= request.peer;
        return request.peer === first ? request.bytes() : new Promise(() => {});
      });
      const other = connect(scope, served);
      await other.request(Buffer.from('other'));
      const { reader, ended } = await send(scope, served, bytes);
      const frame = await reader.first('error');
      assert.equal(frame.payload.readUInt16BE(), ERROR_CODES[error]);
      assert.match(frame.payload.toString('utf8', 2), says);
      await ended;
      assert.equal(text(await other.request(Buffer.from('other'))), 'other');
      assert.equal((served.errors[0] as { code: string }).code, code);
      assert.equal(served.errors.length, 1);
    });
  }

  it('ends a connection with more requests at once than `maxRequests`', async () => {
    await using scope = new Scope();
    const served = await serve(scope, () => new Promise(() => {}), { maxRequests: 3 });
    const { reader } = await send(scope, served, [hello(), ...[1, 2, 3, 4].map((id) => request(id))]);
    const { id, payload } = await reader.first('error');
    assert.deepEqual({ id, code: payload.readUInt16BE() }, { id: 3, code: ERROR_CODES.limit });
    assert.match(payload.toString('utf8', 2), /More than 3 requests at once/);
  });

  it('counts a cancelled request until its handler ends', async () => {
    await using scope = new Scope();
    let begun = 0;
    const served = await serve(
      scope,
      () => {
        begun += 1;
        return new Promise(() => {});
      },
      { maxRequests: 3 },
    );
    const pairs = Array.from({ length: 100 }, (_, index) => [request(index + 1), frame('cancel', index + 1)]).flat();
    const { reader } = await send(scope, served, [hello(), ...pairs]);
    const { payload } = await reader.first('error');
    assert.match(payload.toString('utf8', 2), /More than 3 requests at once/);
    assert.equal(begun, 3);
  });

  it('applies no `frameWait` to a frame whose rest it does not read', async () => {
    await using scope = new Scope();
    const served = await serve(
      scope,
      async (request) => {
        const payload = await request.bytes();
        return payload.length === 0 ? Buffer.alloc(1_000_000) : payload;
      },
      { frameWait: 200, maxUnread: 262_144 },
    );
    const socket = await connectRaw(scope, served);
    const last = frame('request', 200, Buffer.from('last'));
    socket.pause();
    socket.write(hello({ credit: 0x3fff_ffff, requestCredit: 0x3fff_ffff }));
    // More than the buffers of the kernel hold.
    for (let id = 1; id <= 30; id++) socket.write(request(id));
    socket.write(last.subarray(0, 5));
    // The client does not read, so the server stops reading.
    await until(() => [...served.sockets].some((accepted) => accepted.isPaused()));
    socket.write(last.subarray(5));
    // Time must pass: longer than `frameWait`.
    await setTimeout(600);
    const reader = new WireReader(socket);
    socket.resume();
    const reply = (): readonly Frame[] => reader.frames.filter(({ id }) => id === 200);
    await until(() => reply().at(-1)?.flags === 1 || socket.readableEnded);
    assert.equal(Buffer.concat(reply().map(({ payload }) => payload)).toString(), 'last');
    assert.deepEqual(served.errors, []);
  });

  it('keeps a slow reader, even with small limits', async () => {
    await using scope = new Scope();
    const reply = 8_000_000;
    const served = await serve(scope, () => Buffer.alloc(reply), { maxFrame: 1_024, maxUnread: 4_096 });
    const socket = await connectRaw(scope, served);
    socket.pause();
    socket.write(hello({ maxFrame: 1_024, credit: 0x3fff_ffff, requestCredit: 0x3fff_ffff }));
    socket.write(request(1));
    // The kernel takes no more, and less waits than Node's high-water mark, so that no 'drain' follows.
    await until(() => [...served.sockets].some((accepted) => accepted.writableLength > 4_096));
    const reader = new WireReader(socket);
    socket.resume();
    await until(() => reader.frames.at(-1)?.flags === 1);
    assert.equal(
      reader.frames.filter(({ id }) => id === 1).reduce((sum, { payload }) => sum + payload.length, 0),
      reply,
    );
  });

  it('treats keys as equal only where their bytes are equal', async () => {
    await using scope = new Scope();
    let calls = 0;
    const served = await serve(scope, () => Buffer.from(`${++calls}`));
    const channel = connect(scope, served);
    const keys = ['a', '\u{FEFF}a', '\u{FEFF}', 'A', 'a'];
    const replies = await Promise.all(keys.map((key) => channel.request(Buffer.alloc(0), { exactlyOnce: key })));
    assert.deepEqual(replies.map(text), ['1', '2', '3', '4', '1']);
    assert.throws(() => channel.request(Buffer.alloc(0), { exactlyOnce: '\uD800' }), { code: 'ERR_OPTION' });
  });

  it('never gets more than `maxRequests` from a client of this package, where the others wait', async () => {
    await using scope = new Scope();
    let most = 0;
    let underWay = 0;
    const served = await serve(
      scope,
      async (request) => {
        most = Math.max(most, ++underWay);
        await new Promise((resolve) => setImmediate(resolve));
        underWay -= 1;
        return request.bytes();
      },
      { maxRequests: 3 },
    );
    const channel = connect(scope, served);
    await Promise.all(Array.from({ length: 100 }, () => channel.request(Buffer.from('x'))));
    assert.equal(most, 3);
  });

  it('refuses a payload that is longer than `maxPayload`', async () => {
    await using scope = new Scope();
    const served = await serve(scope, echo, { maxPayload: 100_000 });
    const channel = connect(scope, served);
    const { message } = await rejectsWith(channel.request(Buffer.alloc(100_001)), 'ERR_REQUEST_FAILED');
    assert.match(message, /longer than `maxPayload`, 100000 bytes/);
    assert.equal((served.errors[0] as { code: string }).code, 'ERR_CHANNEL_LIMIT');
    assert.equal((await channel.request(Buffer.alloc(100_000))).length, 100_000);
  });

  it('does not process a request with a key that the store has no room for', async () => {
    await using scope = new Scope();
    let calls = 0;
    const served = await serve(scope, () => void (calls += 1), { store: memoryStore({ maxBytes: 1_000 }) });
    const channel = connect(scope, served);
    const all = Array.from({ length: 10 }, (_, n) => channel.request(Buffer.alloc(0), { exactlyOnce: `key ${n}` }));
    const results = await Promise.allSettled(all);
    const refused = results.filter(({ status }) => status === 'rejected').length;
    assert.equal(calls, 10 - refused);
    assert.ok(refused > 0, 'all were remembered');
  });

  for (const [title, bytes, options, says] of [
    ['sends no HELLO', [], { helloWait: 100 }, /No HELLO came within 100 ms/],
    ['does not end a frame', [hello(), request(1, 10).subarray(0, 12)], { frameWait: 100 }, /A frame was not complete/],
    ['sends nothing, and answers no PING', [hello()], { pingAfter: 50, pingWait: 50 }, /a PING was not answered/],
  ] as const) {
    it(`ends a connection that ${title}`, async () => {
      await using scope = new Scope();
      const served = await serve(scope, echo, options);
      const { reader } = await send(scope, served, bytes);
      const { payload } = await reader.first('error');
      assert.equal(payload.readUInt16BE(), ERROR_CODES.timeout);
      assert.match(payload.toString('utf8', 2), says);
    });
  }

  it('keeps an idle client of this package, which answers each PING', async () => {
    await using scope = new Scope();
    const served = await serve(scope, echo, { pingAfter: 20, pingWait: 10_000 });
    const channel = connect(scope, served);
    await channel.request(Buffer.from('x'));
    const [socket] = served.sockets;
    for (let pongs = 0; pongs < 5; pongs++) await once(socket!, 'data');
    const { isConnected } = channel;
    assert.deepEqual({ connections: served.sockets.size, isConnected }, { connections: 1, isConnected: true });
  });

  it('ignores what a later version may send', async () => {
    await using scope = new Scope();
    const served = await serve(scope);
    const bytes = [
      hello({ versions: [1, 9] }),
      frame(0x80, 7, Buffer.from('new')),
      frame('request', 1, Buffer.from('x'), 0xf1),
    ];
    const { reader } = await send(scope, served, bytes);
    assert.equal((await reader.first('reply')).payload.toString(), 'x');
  });
});

describe('A client of a channel', { timeout: 300_000 }, () => {
  for (const [title, says, bytes] of [
    ['replies to a request that was not sent', /which awaits none/, [hello({ maxRequests: 9 }), frame('reply', 7)]],
    [
      'sends a GOODBYE that names a request that was not sent',
      /A GOODBYE names request 7 of 0/,
      [hello({ maxRequests: 9 }), frame('goodbye', 7, Buffer.alloc(6))],
    ],
    ['speaks another protocol', /does not speak this protocol/, [Buffer.from('220 mail.example.com ESMTP\r\n')]],
    ['sends a frame that only clients send', /which no server sends/, [hello({ maxRequests: 9 }), request(1)]],
  ] as const) {
    it(`leaves a server that ${title}, and goes on`, async () => {
      await using scope = new Scope();
      const strange = net.createServer((socket) => {
        socket.on('error', () => {});
        socket.resume();
        for (const each of bytes) socket.write(each);
      });
      strange.listen({ host: '127.0.0.1', port: 0 });
      await once(strange, 'listening');
      scope.defer(() => strange.close());
      const served = await serve(scope);
      const errors: string[] = [];
      const { port } = strange.address() as net.AddressInfo;
      const channel = connectChannel([{ host: '127.0.0.1', port }, served.target], {
        onError: ({ message }) => errors.push(message),
      });
      scope.defer(() => channel.close({ deadline: 0 }));
      await until(() => errors.length > 0);
      assert.match(errors[0]!, says);
      assert.equal(text(await channel.request(Buffer.from('x'))), 'x');
    });
  }

  it('stays away from a server for a retry-after that is longer than a timer can wait', async () => {
    await using scope = new Scope();
    let connections = 0;
    const server = net.createServer((socket) => {
      connections += 1;
      socket.on('error', () => {});
      socket.resume();
      const words = Buffer.from('0000ffffffff', 'hex');
      socket.write(Buffer.concat([hello({ maxRequests: 9 }), frame('goodbye', 0, words)]));
    });
    server.listen({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    scope.defer(() => server.close());
    const { port } = server.address() as net.AddressInfo;
    const channel = connectChannel({ host: '127.0.0.1', port }, { giveUpAfter: 300 });
    scope.defer(() => channel.close({ deadline: 0 }));
    await rejectsWith(channel.request(Buffer.from('x')), 'ERR_NOT_PROCESSED');
    assert.equal(connections, 1);
  });

  it('throws at once for a wrong option, and names it', async () => {
    await using scope = new Scope();
    const served = await serve(scope);
    const channel = connect(scope, served);
    for (const [call, message] of [
      [() => connectChannel({ port: 0 }), 'Expected `address.port` to be a port from 1 to 65535, got `0`'],
      [() => connectChannel([]), 'Expected `address` to be at least one address, got an array'],
      [
        () => connectChannel({ path: '/x', port: 1 }),
        'Expected `address.path` to be the path of a socket, without `host` and `port`, got `/x`',
      ],
      [
        () => connectChannel({ port: 1 }, { maxFrame: 10 }),
        'Expected `maxFrame` to be a whole number from 1024 to 1073741823, got `10`',
      ],
      [
        () => connectChannel({ port: 1 }, { maxUnread: 100_000 }),
        'Expected `maxUnread` to be a whole number from 262144 to 1073741823, got `100000`',
      ],
      [
        () => connectChannel({ port: 1 }, { identity: 'é'.repeat(128) }),
        'Expected `identity` to be at most 255 bytes of UTF-8, got `string`',
      ],
      [
        () => channel.request('text' as never),
        'Expected `payload` to be a Uint8Array, or a function that returns chunks, got `text`',
      ],
      [
        () => channel.request(Buffer.alloc(0), { exactlyOnce: '' }),
        'Expected `exactlyOnce` to be a key of 1 to 255 bytes of UTF-8, got ``',
      ],
      [
        () => channel.request(Buffer.alloc(0), { retry: true } as never),
        'Expected `options` to be made of signal, idempotent, exactlyOnce, got `retry`',
      ],
      [
        () => serveChannel(net.createServer(), undefined as never),
        'Expected `handler` to be a function, got `undefined`',
      ],
      [() => serveChannel({} as never, echo), 'Expected a net or tls server, got an object'],
      [() => serveChannel(served.server, echo), 'The server serves a channel already'],
      [
        () => serveChannel(net.createServer(), echo, { identify: 'everybody' as never }),
        'Expected `identify` to be a function, got `everybody`',
      ],
      [
        () => serveChannel(net.createServer(), echo, { store: {} as never }),
        'Expected `store.claim` to be a function, got `undefined`',
      ],
      [
        () => serveChannel(net.createServer(), echo, { farewell: { reason: 'bored' as never } }),
        'Expected `farewell.reason` to be `closing` or `idle` or `ids used up` or `moving on`, got `bored`',
      ],
      [() => memoryStore({ maxBytes: -1 }), 'Expected `maxBytes` to be a whole number of bytes, got `-1`'],
    ] as const) {
      assert.throws(call, { name: 'LastCallError', message });
    }
    assert.throws(() => connectChannel({ port: 1 }, { tls: { cert: 'none' } }), {
      code: 'ERR_OPTION',
      message: /`tls` cannot be used: .*PEM/,
    });
  });
});

function violation(title: string, bytes: readonly Buffer[], error: keyof typeof ERROR_CODES, says: RegExp): Violation {
  const codes = {
    protocol: 'ERR_CHANNEL_PROTOCOL',
    version: 'ERR_CHANNEL_VERSION',
    limit: 'ERR_CHANNEL_LIMIT',
    timeout: 'ERR_CHANNEL_TIMEOUT',
  } as const;
  return { title, bytes, error, code: codes[error], says };
}

/** Sends these bytes, and reads. Ends its side after the server has ended its own. */
async function send(
  scope: Scope,
  served: Served,
  bytes: readonly Buffer[],
): Promise<{ readonly reader: WireReader; readonly ended: Promise<unknown> }> {
  const socket = await connectRaw(scope, served);
  const reader = new WireReader(socket);
  const ended = once(socket, 'end');
  socket.write(Buffer.concat(bytes));
  return { reader, ended };
}
