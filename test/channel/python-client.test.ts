import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type ChannelHandler, memoryStore, type OutcomeStore, serveChannel } from '../../src/channel.ts';
import { gracefulClose } from '../../src/servers/graceful-close.ts';
import type { CloseReport } from '../../src/index.ts';
import { needsPrograms, needsSuccess } from '../harness/needs.ts';
import { portOf } from '../harness/ports.ts';
import { startCommand } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { until, within } from '../harness/wait.ts';
import { closePlainly } from './open-channel.ts';
import { conversations, errorVectors, frameVectors, VECTORS } from './vectors/vector-files.ts';

const PROGRAM = fileURLToPath(new URL('../../../test/fixtures/channel/channel_client.py', import.meta.url));
const REQUESTS = 2_000;
const AT_ONCE = 50;
const RESTARTS = 5;
/** A server is closed after this many requests. */
const EACH = 300;
/** How many of the requests under way may be answered as the close begins. The client's next requests cross the farewell then. */
const CROSSING = AT_ONCE / 2;

const skip =
  needsPrograms('python3') ||
  needsSuccess('python3 3.10 or later', ['python3', '-c', 'import sys; sys.exit(sys.version_info < (3, 10))']);

/** What the client prints: how many requests had which result. */
interface Counts {
  readonly done: number;
  readonly not_processed: number;
  readonly unknown: number;
  readonly failed: number;
  readonly connections: number;
}

describe('A client in Python', { skip, timeout: 300_000 }, () => {
  const proof = prove('a client in Python whose server is restarted');
  const byKeys = prove('a client in Python with keys, whose server is closed plainly');

  it('sends and understands the frames of docs/channel-vectors', async () => {
    const printed = await runClient('vectors', VECTORS);
    const count = (vectors: typeof conversations): number =>
      vectors.filter(({ tests }) => tests.includes('client')).length;
    assert.deepEqual(printed, {
      frames: frameVectors.length,
      conversations: count(conversations),
      errors: count(errorVectors),
    });
  });

  it(`gets ${REQUESTS} requests processed exactly once by a server that restarts ${RESTARTS} times`, async (t) => {
    const reports: CloseReport[] = [];
    await using service = new RestartedService(async (server, _, onShut) => {
      // No other process holds the listener. On a busy host the search for others would take too long.
      subscribe('lastcall:gate', onShut);
      reports.push(await gracefulClose(server, { deadline: 20_000, gate: 'own' }));
      unsubscribe('lastcall:gate', onShut);
    });
    const counts = await talk(service);
    const { connections } = counts;
    assert.deepEqual(counts, { done: REQUESTS, not_processed: 0, unknown: 0, failed: 0, connections });
    assert.equal(reports.length, RESTARTS);
    for (const report of reports) {
      const { said, answered } = report.connections.farewells;
      const all = JSON.stringify(reports);
      assert.equal(report.outcome, 'complete', all);
      // More than one where the gate shuts late, and the client makes a new connection before that. The gate is late where the search
      // for the listener's other holders is slow (the client is a child, and the host is busy: `gate: 'shared'`), or where the close
      // waits for SYN cookies of another program on the host.
      assert.ok(said >= 1 && answered === said, all);
    }
    assert.ok(connections > RESTARTS, `${connections} connections`);
    assert.deepEqual({ begun: service.begun.size, twice: service.twice }, { begun: REQUESTS, twice: [] });
    for (const underWay of service.underWay) proof.held(t, { 'under way': underWay });
  });

  it('leaves some outcomes unknown after plain closes (control)', async (t) => {
    await using service = new RestartedService(closeAtOnce);
    const { done, not_processed, unknown, failed } = await talk(service);
    assert.ok(unknown >= RESTARTS * (AT_ONCE - CROSSING), `${unknown} unknown`);
    assert.deepEqual({ settled: done + not_processed + unknown, failed }, { settled: REQUESTS, failed: 0 });
    assert.deepEqual(service.twice, []);
    proof.lost(t, unknown);
    byKeys.lost(t, unknown);
  });

  it('gets all processed exactly once there, too, with keys and a store that outlives the server', async (t) => {
    await using service = new RestartedService(closeAtOnce, memoryStore());
    const counts = await talk(service, '--key');
    const { connections } = counts;
    assert.deepEqual(counts, { done: REQUESTS, not_processed: 0, unknown: 0, failed: 0, connections });
    assert.ok(connections > RESTARTS, `${connections} connections`);
    assert.deepEqual({ begun: service.begun.size, twice: service.twice }, { begun: REQUESTS, twice: [] });
    for (const underWay of service.underWay) byKeys.held(t, { 'under way': underWay });
  });
});

/** Closes a server, and calls `onShut` when it takes no new connections any more. */
type Close = (server: net.Server, sockets: ReadonlySet<net.Socket>, onShut: () => void) => Promise<void>;

const closeAtOnce: Close = (server, sockets, onShut) => {
  const closed = closePlainly(server, sockets);
  onShut();
  return closed;
};

/**
 * One server after the other on the same port. Each answers its share of requests. It holds the next ones back until the client
 * has all its requests under way, so that there is always a client at the close.
 */
class RestartedService implements AsyncDisposable {
  /** The requests that were processed, or begun. */
  readonly begun = new Set<string>();
  readonly twice: string[] = [];
  /** How many requests were held back at each close. */
  readonly underWay: number[] = [];
  readonly #close: Close;
  readonly #store: OutcomeStore | undefined;
  readonly #held: (() => void)[] = [];
  #server: net.Server | undefined;
  #sockets = new Set<net.Socket>();
  #port = 0;
  #gate: 'open' | 'shutting' | 'shut' = 'open';

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
    this.#port = portOf(server);
    return this.#port;
  }

  /** Closes and starts it again, each time after `EACH` more requests. */
  async restart(): Promise<void> {
    while (this.underWay.length < RESTARTS) {
      const nth = this.underWay.length + 1;
      await until(
        `${AT_ONCE} requests are under way before restart ${nth}`,
        () => this.#held.length === AT_ONCE,
        100_000,
      );
      assert.ok(this.#server !== undefined);
      this.underWay.push(this.#held.length);
      for (const goOn of this.#held.splice(0, CROSSING)) goOn();
      this.#gate = 'shutting';
      const closed = this.#close(this.#server, this.#sockets, () => {
        this.#gate = 'shut';
        for (const goOn of this.#held.splice(0)) goOn();
      });
      await within(`close ${nth}`, closed);
      this.#gate = 'open';
      await this.start();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server?.listening === true) await closePlainly(this.#server, this.#sockets);
  }

  /**
   * Whether it holds requests back until the next close. While the gate is open, the client may make a new connection and send
   * requests. It must not send all of them before the next close. After the gate is shut, the close waits for what has come.
   */
  get #holdsBack(): boolean {
    if (this.#gate !== 'open') return this.#gate === 'shutting';
    return this.underWay.length < RESTARTS && this.begun.size >= (this.underWay.length + 1) * EACH;
  }

  readonly #echo: ChannelHandler = async (request) => {
    const payload = await request.bytes();
    const name = Buffer.from(payload).toString('latin1', 0, 20);
    if (this.begun.has(name)) this.twice.push(name);
    this.begun.add(name);
    if (this.#holdsBack) await new Promise<void>((resolve) => this.#held.push(resolve));
    else await new Promise((resolve) => setImmediate(resolve));
    return payload;
  };
}

async function talk(service: RestartedService, ...options: readonly string[]): Promise<Counts> {
  const port = await service.start();
  const asked = ['talk', '--port', `${port}`, '--requests', `${REQUESTS}`, '--at-once', `${AT_ONCE}`, ...options];
  const [counts] = await Promise.all([runClient(...asked), service.restart()]);
  return counts as Counts;
}

/** Resolves with what the client prints, when it has ended. */
async function runClient(...args: readonly string[]): Promise<unknown> {
  await using client = startCommand(['python3', PROGRAM, ...args]);
  const { code, stdout, stderr } = await within('the end of the client in Python', client.ended, 200_000);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}
