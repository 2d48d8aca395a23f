import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type ChannelHandler, memoryStore, type OutcomeStore, serveChannel } from '../../src/channel.ts';
import { gracefulClose } from '../../src/close/graceful-close.ts';
import { conversations, errorVectors, frameVectors, VECTORS } from './vectors/vector-files.ts';
import { closePlainly } from './open-channel.ts';

const PROGRAM = fileURLToPath(new URL('../../../test/fixtures/channel/channel_client.py', import.meta.url));
const REQUESTS = 2_000;
const AT_ONCE = 50;
const RESTARTS = 5;
/** Requests that a server has begun when it is closed. */
const EACH = 300;

const hasPython = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 10))']).status === 0;
const skip = hasPython ? false : 'there is no python3 from 3.10 on';

/** What the client prints: how many requests came to which end. */
interface Counts {
  readonly done: number;
  readonly not_processed: number;
  readonly unknown: number;
  readonly failed: number;
  readonly connections: number;
}

describe('A client in Python', { timeout: 120_000 }, () => {
  it('says and understands what docs/channel-vectors has', { skip }, async () => {
    const { stdout } = await promisify(execFile)('python3', [PROGRAM, 'vectors', VECTORS], { timeout: 30_000 });
    const count = (vectors: typeof conversations): number =>
      vectors.filter(({ tests }) => tests.includes('client')).length;
    assert.deepEqual(JSON.parse(stdout), {
      frames: frameVectors.length,
      conversations: count(conversations),
      errors: count(errorVectors),
    });
  });

  it(`has ${REQUESTS} requests done exactly once by a server that is restarted ${RESTARTS} times`, {
    skip,
  }, async (t) => {
    const farewells = { said: 0, answered: 0 };
    const service = new RestartedService(async (server) => {
      const { outcome, connections } = await gracefulClose(server, { deadline: 20_000 });
      assert.equal(outcome, 'complete');
      farewells.said += connections.farewells.said;
      farewells.answered += connections.farewells.answered;
    });
    const counts = await talk(t, service);
    const { connections } = counts;
    assert.deepEqual(counts, { done: REQUESTS, not_processed: 0, unknown: 0, failed: 0, connections });
    assert.deepEqual(farewells, { said: RESTARTS, answered: RESTARTS });
    assert.ok(connections > RESTARTS, `${connections} connections`);
    assert.deepEqual([service.begun.size, service.twice], [REQUESTS, []]);
  });

  it('loses sight of some where the server is closed plainly (control)', { skip }, async (t) => {
    const service = new RestartedService(closePlainly);
    const { done, not_processed, unknown, failed } = await talk(t, service);
    assert.ok(unknown >= RESTARTS, `${unknown} unknown`);
    assert.deepEqual([done + not_processed + unknown, failed], [REQUESTS, 0]);
    assert.deepEqual(service.twice, []);
    t.diagnostic(`${unknown} of ${REQUESTS} requests unknown`);
  });

  it('has all done exactly once there, too, by keys, where the store outlives the server', { skip }, async (t) => {
    const service = new RestartedService(closePlainly, memoryStore());
    const counts = await talk(t, service, '--key');
    const { connections } = counts;
    assert.deepEqual(counts, { done: REQUESTS, not_processed: 0, unknown: 0, failed: 0, connections });
    assert.ok(connections > RESTARTS, `${connections} connections`);
    assert.deepEqual([service.begun.size, service.twice], [REQUESTS, []]);
  });
});

type Close = (server: net.Server, sockets: ReadonlySet<net.Socket>) => Promise<void>;

/** One server after the other on the same port. */
class RestartedService {
  /** The requests that were processed, or begun. */
  readonly begun = new Set<string>();
  readonly twice: string[] = [];
  readonly #close: Close;
  readonly #store: OutcomeStore | undefined;
  #server: net.Server | undefined;
  #sockets = new Set<net.Socket>();
  #port = 0;
  #tell: (() => void) | undefined;

  constructor(close: Close, store?: OutcomeStore) {
    this.#close = close;
    this.#store = store;
  }

  async start(): Promise<number> {
    const sockets = new Set<net.Socket>();
    const server = net.createServer((socket) => sockets.add(socket));
    serveChannel(server, this.#echo, this.#store === undefined ? {} : { store: this.#store });
    server.listen({ host: '127.0.0.1', port: this.#port });
    await once(server, 'listening');
    this.#server = server;
    this.#sockets = sockets;
    this.#port = (server.address() as net.AddressInfo).port;
    return this.#port;
  }

  /** Closes and starts it again, each time when so many more requests have been begun. */
  async restart(): Promise<void> {
    for (let restarts = 1; restarts <= RESTARTS; restarts++) {
      while (this.begun.size < restarts * EACH) {
        await new Promise<void>((resolve) => {
          this.#tell = resolve;
        });
      }
      assert.ok(this.#server !== undefined);
      await this.#close(this.#server, this.#sockets);
      await this.start();
    }
  }

  stop(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  readonly #echo: ChannelHandler = async (request) => {
    const payload = await request.bytes();
    const name = Buffer.from(payload).toString('latin1', 0, 20);
    if (this.begun.has(name)) this.twice.push(name);
    this.begun.add(name);
    this.#tell?.();
    // Some are under way whenever it is closed.
    await new Promise((resolve) => setImmediate(resolve));
    return payload;
  };
}

/** Has the client ask a service that is restarted meanwhile. */
async function talk(t: TestContext, service: RestartedService, ...options: readonly string[]): Promise<Counts> {
  const port = await service.start();
  t.after(() => service.stop());
  const asked = ['talk', '--port', `${port}`, '--requests', `${REQUESTS}`, '--at-once', `${AT_ONCE}`, ...options];
  const running = promisify(execFile)('python3', [PROGRAM, ...asked], { timeout: 60_000 });
  const child: ChildProcess = running.child;
  t.after(() => child.kill('SIGKILL'));
  const [{ stdout }] = await Promise.all([running, service.restart()]);
  return JSON.parse(stdout) as Counts;
}
