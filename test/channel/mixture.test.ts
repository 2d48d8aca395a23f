import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, it, type TestContext } from 'node:test';
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
import { socketPath } from '../linux/loopback.ts';
import { closePlainly } from './open-channel.ts';

const WORKERS = 60;
const REQUESTS = 20;

/** Under these whatever is long waits for whatever else is, all the time. */
const SMALL = { maxFrame: 1_024, maxUnread: 4_096, maxPayload: 60_000 };
const LENGTHS = [0, 5, 900, 3_000, 20_000, 59_000];

/** The same numbers for the same seed. */
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

/** Echoes: whole, as it comes, in chunks of its own, or read as chunks and answered whole. */
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
  assert.deepEqual([outcome, connections.farewells.unanswered], ['complete', 0]);
}

/** One server after the other, each closed while it is asked; until `isDone`. */
async function restart(path: string, dice: Dice, close: Close, isDone: () => boolean): Promise<number> {
  const store = memoryStore();
  let closes = 0;
  const maxGathered = dice.oneOf([1_000_000, 5_000_000]);
  for (;;) {
    const server = net.createServer();
    const sockets = new Set<net.Socket>();
    server.on('connection', (socket: net.Socket) => sockets.add(socket));
    serveChannel(server, echoInAnyWay(dice), { ...SMALL, maxGathered, maxRequests: 1 + dice.next(60), store });
    server.listen(path);
    const lives = 50 + dice.next(150);
    for (let lived = 0; lived < lives && !isDone(); lived += 5) await setTimeout(5);
    await close(server, sockets);
    closes += 1;
    if (isDone()) return closes;
  }
}

/** Asks once, in any way; what it has come to. */
async function ask(channel: Channel, dice: Dice): Promise<string> {
  const payload = Buffer.alloc(dice.oneOf(LENGTHS), dice.next(256));
  const controller = new AbortController();
  const isTakenBack = dice.next(10) === 0;
  if (isTakenBack) void setTimeout(dice.next(20)).then(() => controller.abort());
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
    return isTakenBack ? 'taken back' : `${error.code}: ${error.message}`;
  }
}

/** All workers ask until they have done; how often each word was said. */
async function run(t: TestContext, seed: number, close: Close): Promise<ReadonlyMap<string, number>> {
  const dice = new Dice(seed);
  const path = socketPath(t);
  const channel = connectChannel({ path }, { ...SMALL, maxGathered: dice.oneOf([0, 0, 20_000, 5_000_000]) });
  t.after(() => channel.close({ deadline: 0 }));
  const said = new Map<string, number>();
  let left = WORKERS * REQUESTS;
  const workers = Array.from({ length: WORKERS }, async () => {
    for (let request = 0; request < REQUESTS; request++) {
      const word = await ask(channel, dice);
      said.set(word, (said.get(word) ?? 0) + 1);
      left -= 1;
    }
  });
  const closes = restart(path, dice, close, () => left === 0);
  await Promise.all(workers);
  await channel.close();
  t.diagnostic(`${await closes} closes: ${JSON.stringify(Object.fromEntries(said))}`);
  return said;
}

describe('Requests of every kind over small windows, while the server is closed again and again', {
  timeout: 120_000,
}, () => {
  for (const seed of Array.from({ length: count(40) }, (_, index) => index + 1)) {
    it(`all come to their end, and none is lost (${seed})`, async (t) => {
      const {
        done = 0,
        'taken back': takenBack = 0,
        ...others
      } = Object.fromEntries(await run(t, seed, closeGracefully));
      assert.deepEqual([others, done + takenBack], [{}, WORKERS * REQUESTS]);
      assert.ok(done > (WORKERS * REQUESTS) / 2);
    });
  }

  it('come to their end, and some are lost, where it is closed plainly (control)', async (t) => {
    const said = await run(t, 1, closePlainly);
    const words = [...said.keys()];
    assert.ok(
      words.some((word) => word.startsWith('ERR_OUTCOME_UNKNOWN')),
      words.join(),
    );
    assert.ok(!said.has('wrong reply'));
  });
});
