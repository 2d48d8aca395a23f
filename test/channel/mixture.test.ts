import assert from 'node:assert/strict';
import net from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import {
  type Channel,
  type ChannelHandler,
  connectChannel,
  LastCallError,
  memoryStore,
  serveChannel,
} from '../../src/channel.ts';
import { gracefulClose } from '../../src/index.ts';
import { count } from '../harness/counts.ts';
import { makeFolder } from '../harness/folders.ts';
import { prove } from '../harness/proof.ts';
import { until, within } from '../harness/wait.ts';
import { closePlainly } from './open-channel.ts';

const WORKERS = 60;
const REQUESTS = 20;

/** Limits under which long payloads wait for each other all the time. */
const SMALL = { maxFrame: 1_024, maxUnread: 4_096, maxPayload: 60_000 };
const LENGTHS = [0, 5, 900, 3_000, 20_000, 59_000];

/** Random numbers, the same for the same seed. */
class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed * 7_919;
  }

  next(below: number): number {
    this.#state = (this.#state * 16_807) % 2_147_483_647;
    return this.#state % below;
  }

  oneOf<Item>(items: readonly Item[]): Item {
    return items[this.next(items.length)]!;
  }
}

async function* cut(bytes: Uint8Array, length: number, dice: Dice): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += length) {
    if (dice.next(100) === 0) await setTimeout(1);
    yield bytes.subarray(at, at + length);
  }
}

async function gather(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

/** Echoes in four ways: whole, as it comes, in chunks of another size, or read as chunks and answered whole. */
function echoInAnyWay(dice: Dice): ChannelHandler {
  return async (request) => {
    switch (dice.next(4)) {
      case 0:
        return request.bytes();
      case 1:
        return request;
      case 2:
        return cut(await request.bytes(), 777, dice);
      default:
        return gather(request);
    }
  };
}

type Close = (server: net.Server, sockets: ReadonlySet<net.Socket>) => Promise<void>;

async function closeGracefully(server: net.Server): Promise<void> {
  const { outcome, connections } = await gracefulClose(server, { deadline: 60_000 });
  const { unanswered } = connections.farewells;
  assert.deepEqual({ outcome, unanswered }, { outcome: 'complete', unanswered: 0 });
}

/** How many requests were under way at each close. */
type Closes = readonly number[];

/** Runs one server after the other, each closed under load, until `isDone`. A plain close waits until it must lose some requests. */
async function restart(path: string, dice: Dice, close: Close, isDone: () => boolean): Promise<Closes> {
  const store = memoryStore();
  const closes: number[] = [];
  const maxGathered = dice.oneOf([1_000_000, 5_000_000]);
  const mustLose = close === closePlainly;
  for (;;) {
    const server = net.createServer();
    const sockets = new Set<net.Socket>();
    server.on('connection', (socket: net.Socket) => sockets.add(socket));
    const handler = new CountedHandler(echoInAnyWay(dice));
    const maxRequests = mustLose ? WORKERS : 1 + dice.next(60);
    serveChannel(server, handler.handle, { ...SMALL, maxGathered, maxRequests, store });
    server.listen(path);
    // At a random moment.
    await setTimeout(50 + dice.next(150));
    // One request in ten may be cancelled.
    if (mustLose) await until('five requests without a key are under way', () => handler.plain >= 5 || isDone());
    const underWay = handler.all;
    await close(server, sockets);
    if (isDone()) return closes;
    closes.push(underWay);
  }
}

/** Counts the requests that are under way. */
class CountedHandler {
  all = 0;
  /** Those without a key. Their outcome is unknown if the connection breaks. */
  plain = 0;
  readonly #handler: ChannelHandler;

  constructor(handler: ChannelHandler) {
    this.#handler = handler;
  }

  readonly handle: ChannelHandler = async (request) => {
    const plain = request.key === undefined ? 1 : 0;
    this.all += 1;
    this.plain += plain;
    try {
      return await this.#handler(request);
    } finally {
      this.all -= 1;
      this.plain -= plain;
    }
  };
}

/** Sends one request, in a random way. Resolves with its result. */
async function ask(channel: Channel, dice: Dice): Promise<string> {
  const payload = Buffer.alloc(dice.oneOf(LENGTHS), dice.next(256));
  const controller = new AbortController();
  const isCancelled = dice.next(10) === 0;
  if (isCancelled) void setTimeout(dice.next(20)).then(() => controller.abort());
  const options = { exactlyOnce: dice.next(2) === 0, signal: controller.signal };
  const asked = dice.next(3) === 0 ? () => cut(payload, 500, dice) : payload;
  try {
    const isInChunks = dice.next(3) === 0;
    const reply = isInChunks
      ? await gather(await channel.requestChunks(asked, options))
      : await channel.request(asked, options);
    return payload.equals(reply) ? 'done' : 'wrong reply';
  } catch (error) {
    if (!(error instanceof LastCallError)) throw error;
    return isCancelled ? 'cancelled' : `${error.code}: ${error.message}`;
  }
}

/** Runs all workers to their end. Resolves with how often each result came. */
async function run(
  seed: number,
  close: Close,
): Promise<{ readonly results: Readonly<Record<string, number>>; readonly closes: Closes }> {
  const dice = new Dice(seed);
  using folder = makeFolder();
  const path = join(folder.path, 'socket');
  const channel = connectChannel({ path }, { ...SMALL, maxGathered: dice.oneOf([0, 0, 20_000, 5_000_000]) });
  const results: Record<string, number> = {};
  let left = WORKERS * REQUESTS;
  const workers = Array.from({ length: WORKERS }, async () => {
    for (let request = 0; request < REQUESTS; request++) {
      const word = await ask(channel, dice);
      results[word] = (results[word] ?? 0) + 1;
      left -= 1;
    }
  });
  const restarting = restart(path, dice, close, () => left === 0);
  try {
    await within('the end of all requests', Promise.all(workers));
    await channel.close();
  } finally {
    left = 0;
    await channel.close({ deadline: 0 });
  }
  return { results, closes: await restarting };
}

describe('Requests of every kind over small windows, while the server is closed again and again', {
  timeout: 300_000,
}, () => {
  const proof = prove('requests of every kind over a channel with small windows');

  for (const seed of Array.from({ length: count(40, 1) }, (_, index) => index + 1)) {
    it(`all end, and none is lost (${seed})`, async (t) => {
      const { results, closes } = await run(seed, closeGracefully);
      const { done = 0, cancelled = 0, ...others } = results;
      assert.deepEqual({ others, ended: done + cancelled }, { others: {}, ended: WORKERS * REQUESTS });
      assert.ok(done > (WORKERS * REQUESTS) / 2);
      const underWay = Math.max(...closes);
      assert.ok(underWay > 0, 'none was under way at any close');
      proof.held(t, { closes: closes.length, 'under way': underWay });
      t.diagnostic(JSON.stringify(results));
    });
  }

  it('all end, and some are lost, after plain closes (control)', async (t) => {
    const { results } = await run(1, closePlainly);
    assert.equal(results['wrong reply'], undefined);
    const unknown = Object.keys(results).filter((word) => word.startsWith('ERR_OUTCOME_UNKNOWN'));
    proof.lost(
      t,
      unknown.reduce((sum, word) => sum + (results[word] ?? 0), 0),
    );
  });
});
