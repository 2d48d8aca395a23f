import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connectChannel } from '../../src/channel.ts';
import { count } from '../harness/counts.ts';
import type { FloodedMeasure, FloodedTells } from '../fixtures/channel/channel-flooded.ts';
import { frame, hello, WireReader } from './wire.ts';

const program = fileURLToPath(new URL('../fixtures/channel/channel-flooded.js', import.meta.url));

const CONNECTIONS = count(50, 20);

const MEBI = 1024 * 1024;

/** What a connection may hold at most: `maxUnread` each unread, being processed, waiting for credit, and unsent. */
const BOUND = 4 * MEBI;

const GREEDY = hello({ credit: 0x3fff_ffff, requestCredit: 0x3fff_ffff });
const ping = frame('ping', 0, Buffer.alloc(8), 0);

/** What a client says again and again, without reading. */
interface Flood {
  readonly greeting: Buffer;
  readonly options?: object;
  next(count: number): Buffer;
  /** How often it is said; default: until the server takes no more. */
  readonly count?: number;
}

/** One request without an end, in frames of a byte, 1,000 at a time. */
function trickle(count: number): Buffer {
  if (count === 0) return frame('request', 1, Buffer.alloc(0), 0);
  return Buffer.concat(Array<Buffer>(1_000).fill(frame('data', 1, Buffer.alloc(1), 0)));
}

const FLOODS: Readonly<Record<string, Flood>> = {
  'asks, and does not read': {
    greeting: GREEDY,
    next: (count) => frame('request', count + 1, Buffer.alloc(65_536)),
  },
  'asks without granting the credit for the replies': {
    greeting: hello({ credit: 131_072, requestCredit: 65_536 }),
    next: (count) => frame('request', count + 1, Buffer.alloc(60_000)),
  },
  'pings, and does not read': { greeting: GREEDY, next: () => Buffer.concat(Array<Buffer>(1_000).fill(ping)) },
  'sends a payload a byte at a time, which nobody reads': {
    greeting: GREEDY,
    options: { reads: false },
    next: trickle,
    count: 201,
  },
  'sends a payload a byte at a time, which is read whole': { greeting: GREEDY, next: trickle, count: 201 },
  'sends pieces between much that is ignored': {
    greeting: GREEDY,
    options: { reads: false },
    next: (count) =>
      count === 0
        ? frame('request', 1, Buffer.alloc(0), 0)
        : Buffer.concat([frame('data', 1, Buffer.alloc(4_096), 0), frame(0x80, 0, Buffer.alloc(61_000))]),
    count: 60,
  },
  'begins requests that do not end': {
    greeting: GREEDY,
    options: { maxGathered: 1_048_576 },
    next: (count) => frame('request', count + 1, Buffer.alloc(8_192), 0),
  },
};

describe('A server that is flooded', { timeout: 120_000 }, () => {
  for (const [title, { greeting, options = {}, next, count }] of Object.entries(FLOODS)) {
    it(`by clients, each of which ${title}, holds no more than its limits, and serves the others`, async (t) => {
      const { child, port } = await start(t, options);
      const channel = connectChannel({ host: '127.0.0.1', port });
      t.after(() => channel.close({ deadline: 0 }));
      await channel.request(Buffer.from('x'));
      const before = (await measure(child)).memory;
      const floods = await Promise.all(
        Array.from({ length: CONNECTIONS }, () => flood(t, port, greeting, next, count)),
      );
      const sent = floods.reduce((sum, bytes) => sum + bytes, 0);
      // What is said so many times is read to its end.
      if (count !== undefined) while ((await measure(child)).read < sent);
      const { memory, errors } = await measure(child);
      const each = (memory - before) / CONNECTIONS;
      assert.equal((await channel.request(Buffer.from('still there'))).length, 11);
      assert.ok(each < BOUND, `${(each / MEBI).toFixed(2)} MiB a connection`);
      // A flood that breaks the protocol would show nothing.
      assert.deepEqual(
        errors.filter((code) => code !== 'ERR_CHANNEL_LIMIT'),
        [],
      );
      assert.ok(sent > CONNECTIONS * MEBI, `${sent} bytes were sent`);
      t.diagnostic(
        `${(each / MEBI).toFixed(2)} MiB a connection, of ${(sent / CONNECTIONS / MEBI).toFixed(1)} MiB sent; ${errors.length} errors`,
      );
    });
  }

  it('without the limits holds more (control)', async (t) => {
    const { child, port } = await start(t, { maxUnread: 0x3fff_ffff });
    const before = (await measure(child)).memory;
    const { greeting, next } = FLOODS['asks without granting the credit for the replies']!;
    await Promise.all(Array.from({ length: 10 }, () => flood(t, port, greeting, next, 200)));
    while ((await measure(child)).processed < 10 * 200);
    const each = ((await measure(child)).memory - before) / 10;
    assert.ok(each > BOUND, `${(each / MEBI).toFixed(2)} MiB a connection`);
    t.diagnostic(`${(each / MEBI).toFixed(2)} MiB a connection`);
  });

  it('by a thousand frames that come a byte at a time, ends each by its name', async (t) => {
    const { child, port } = await start(t, { frameWait: 2_000 });
    const before = (await measure(child)).memory;
    const sockets = await Promise.all(Array.from({ length: 1_000 }, () => drip(t, port)));
    const during = await measure(child);
    const codes = await Promise.all(
      sockets.map(async (reader) => (await reader.first('error')).payload.readUInt16BE()),
    );
    assert.deepEqual(new Set(codes), new Set([4]));
    const errors = [...during.errors, ...(await measure(child)).errors];
    assert.deepEqual([errors.length, new Set(errors)], [1_000, new Set(['ERR_CHANNEL_TIMEOUT'])]);
    const each = (during.memory - before) / 1_000;
    assert.ok(each < 2 * 65_536, `${each} bytes a connection`);
    t.diagnostic(`${(each / 1_024).toFixed(0)} KiB a connection`);
  });
});

/**
 * Says so much that the server does not take it any more, or has ended the connection; or so many words, where `count` is
 * given. Returns how many bytes.
 */
async function flood(
  t: TestContext,
  port: number,
  greeting: Buffer,
  next: (count: number) => Buffer,
  count?: number,
): Promise<number> {
  const socket = net.connect({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  socket.pause();
  socket.write(greeting);
  let sent = 0;
  for (let said = 0; said < (count ?? 2_000) && socket.writable; said++) {
    const bytes = next(said);
    sent += bytes.length;
    if (!socket.write(bytes) && !(await drains(socket, count === undefined ? 300 : undefined))) break;
  }
  return sent;
}

/** Whether what was written goes on its way, within so many milliseconds. */
async function drains(socket: net.Socket, within: number | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = within === undefined ? undefined : setTimeout(() => end(false), within);
    const drained = (): void => end(true);
    const closed = (): void => end(false);
    const end = (drains: boolean): void => {
      clearTimeout(timer);
      socket.off('drain', drained);
      socket.off('close', closed);
      resolve(drains);
    };
    socket.once('drain', drained);
    socket.once('close', closed);
  });
}

/** A frame of which a byte comes now and then, and not the end. */
async function drip(t: TestContext, port: number): Promise<WireReader> {
  const socket = net.connect({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  const reader = new WireReader(socket);
  await once(socket, 'connect');
  socket.write(Buffer.concat([hello(), frame('request', 1, Buffer.alloc(65_536)).subarray(0, 100)]));
  const timer = setInterval(() => socket.write('x'), 100);
  socket.on('close', () => clearInterval(timer));
  t.after(() => clearInterval(timer));
  return reader;
}

async function start(
  t: TestContext,
  options: object,
): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = fork(program, [JSON.stringify(options)], { execArgv: ['--expose-gc'] });
  t.after(() => child.kill('SIGKILL'));
  const [told] = (await once(child, 'message')) as [FloodedTells];
  return { child, port: 'port' in told ? told.port : 0 };
}

async function measure(child: ChildProcess): Promise<FloodedMeasure> {
  const heard = once(child, 'message');
  child.send('measure');
  const [told] = (await heard) as [FloodedMeasure];
  return told;
}
