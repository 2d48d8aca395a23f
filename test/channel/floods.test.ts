import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { count } from '../harness/counts.ts';
import { until } from '../harness/wait.ts';
import { type Flood, FloodedServer } from './channel-flooded-driver.ts';
import { frame, hello } from './wire.ts';

const CONNECTIONS = count(50, 20);

const MEBI = 1024 * 1024;

/** The most that a connection may hold: `maxUnread` each of unread, processed, waiting and unsent bytes. */
const BOUND = 4 * MEBI;

const GREEDY = hello({ credit: 0x3fff_ffff, requestCredit: 0x3fff_ffff });
const ping = frame('ping', 0, Buffer.alloc(8), 0);

/** One request without an end, in frames of one byte, 1,000 at a time. */
function trickle(count: number): Buffer {
  if (count === 0) return frame('request', 1, Buffer.alloc(0), 0);
  return Buffer.concat(Array<Buffer>(1_000).fill(frame('data', 1, Buffer.alloc(1), 0)));
}

const FLOODS: Readonly<Record<string, Flood & { readonly options?: object; readonly isRefused?: true }>> = {
  'sends requests, and reads nothing': {
    greeting: GREEDY,
    next: (count) => frame('request', count + 1, Buffer.alloc(65_536)),
  },
  'sends requests, and grants no credit for the replies': {
    isRefused: true,
    greeting: hello({ credit: 131_072, requestCredit: 65_536 }),
    next: (count) => frame('request', count + 1, Buffer.alloc(60_000)),
  },
  'sends PINGs, and reads nothing': { greeting: GREEDY, next: () => Buffer.concat(Array<Buffer>(1_000).fill(ping)) },
  'sends a payload one byte at a time, which nobody reads': {
    greeting: GREEDY,
    options: { reads: false },
    next: trickle,
    count: 201,
  },
  'sends a payload one byte at a time, which is read whole': { greeting: GREEDY, next: trickle, count: 201 },
  'sends small pieces between large frames that are ignored': {
    greeting: GREEDY,
    options: { reads: false },
    next: (count) =>
      count === 0
        ? frame('request', 1, Buffer.alloc(0), 0)
        : Buffer.concat([frame('data', 1, Buffer.alloc(4_096), 0), frame(0x80, 0, Buffer.alloc(61_000))]),
    count: 60,
  },
  'begins requests and does not end them': {
    isRefused: true,
    greeting: GREEDY,
    options: { maxGathered: 1_048_576 },
    next: (count) => frame('request', count + 1, Buffer.alloc(8_192), 0),
  },
};

describe('A server that is flooded', { timeout: 180_000 }, () => {
  for (const [title, { options = {}, isRefused = false, ...flood }] of Object.entries(FLOODS)) {
    it(`holds no more than its limits, and serves the others, when each client ${title}`, async (t) => {
      await using server = await FloodedServer.start(options);
      const channel = server.connect();
      await channel.request(Buffer.from('x'));
      const before = await server.measure();
      const sent = await server.flood(CONNECTIONS, flood);
      if (flood.count !== undefined) {
        await until('all that was sent is read', async () => (await server.measure()).read >= before.read + sent);
      }
      const { memory, errors } = await server.measure();
      const each = (memory - before.memory) / CONNECTIONS;
      assert.equal((await channel.request(Buffer.from('still there'))).length, 11);
      assert.ok(each < BOUND, `${(each / MEBI).toFixed(2)} MiB a connection`);
      // A flood that breaks the protocol would prove nothing.
      const { ERR_CHANNEL_LIMIT: limited = 0, ...others } = errors;
      assert.deepEqual(others, {});
      // The server refuses a client, or makes it wait by not reading.
      assert.equal(limited > 0, isRefused, `${limited} errors`);
      assert.ok(sent > CONNECTIONS * MEBI, `${sent} bytes were sent`);
      t.diagnostic(
        `${(each / MEBI).toFixed(2)} MiB a connection, of ${(sent / CONNECTIONS / MEBI).toFixed(1)} MiB sent; ${limited} errors`,
      );
    });
  }

  it('holds more without the limits (control)', async (t) => {
    await using server = await FloodedServer.start({ maxUnread: 0x3fff_ffff });
    const before = await server.measure();
    const flood = FLOODS['sends requests, and grants no credit for the replies']!;
    await server.flood(10, { ...flood, count: 200 });
    await until('all is processed', async () => (await server.measure()).processed >= 10 * 200);
    const each = ((await server.measure()).memory - before.memory) / 10;
    assert.ok(each > BOUND, `${(each / MEBI).toFixed(2)} MiB a connection`);
    t.diagnostic(`${(each / MEBI).toFixed(2)} MiB a connection`);
  });

  it('ends each of a thousand connections whose frames come one byte at a time, with a time-out', async (t) => {
    await using server = await FloodedServer.start({ frameWait: 10_000 });
    const before = await server.measure();
    const readers = await Promise.all(Array.from({ length: 1_000 }, () => server.drip()));
    const read = before.read + 1_000 * (hello().length + 100);
    let during = before;
    // Early clients have sent more by the time that the last one is accepted, so the bytes alone do not show that.
    await until('all have begun their frame', async () => {
      during = await server.measure();
      return during.open >= 1_000 && during.read >= read;
    });
    assert.equal(during.open, 1_000, 'some were ended before their memory was measured');
    const codes = await Promise.all(
      readers.map(async (reader) => (await reader.first('error')).payload.readUInt16BE()),
    );
    assert.deepEqual(new Set(codes), new Set([4]));
    const { errors } = await server.measure();
    assert.deepEqual(errors, { ERR_CHANNEL_TIMEOUT: 1_000 });
    const each = (during.memory - before.memory) / 1_000;
    assert.ok(each < 2 * 65_536, `${each} bytes a connection`);
    t.diagnostic(`${(each / 1_024).toFixed(0)} KiB a connection`);
  });
});
