import assert from 'node:assert/strict';
import type { CloseReport } from '../../src/index.ts';
import type { Http2ServerSends, Http2ServerStop } from '../fixtures/connection/http2/http2-server.ts';
import type { SessionSeen, SessionsOrder, SessionsSend } from '../fixtures/connection/http2/http2-sessions.ts';
import { startFixture, type TestProcess } from '../harness/processes.ts';
import { type Host, type Lab, openLab } from '../lab/lab.ts';

const SESSIONS = 20;
// Milliseconds from one stream of a session to the next.
const EVERY = 10;

export interface Http2ServerOptions {
  readonly way: 'cleartext' | 'tls';
  /** The Node that runs it; default this one. */
  readonly node?: string;
  /** How many streams make it busy; default 200. */
  readonly busy?: number;
  /** Whether it pushes something with each stream; default false. */
  readonly pushes?: boolean;
}

/** An HTTP/2 server on one end of a wire of 25 ms. For `await using`. */
export class Http2Server implements AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly #lab: Lab;
  readonly #process: TestProcess<Http2ServerSends>;

  private constructor(lab: Lab, process: TestProcess<Http2ServerSends>, port: number, way: 'cleartext' | 'tls') {
    this.#lab = lab;
    this.#process = process;
    this.host = lab.server.ipv4;
    this.port = port;
    this.url = `http${way === 'tls' ? 's' : ''}://${this.host}:${port}/`;
  }

  static async start({ way, node, busy = 200, pushes = false }: Http2ServerOptions): Promise<Http2Server> {
    const lab = await openLab({ delay: 25 });
    const process = startFixture<Http2ServerSends>('connection/http2/http2-server', {
      host: lab.server,
      args: ['0.0.0.0', way, String(busy), pushes ? 'yes' : 'no'],
      ...(node === undefined ? {} : { node }),
    });
    return new Http2Server(lab, process, await process.next('port'), way);
  }

  /** Where its clients run. */
  get client(): Host {
    return this.#lab.client;
  }

  /** Resolves when it is busy. */
  async busy(): Promise<void> {
    await this.#process.next('busy');
  }

  /** Closes it by lastcall, when `unread` bytes stand in the socket of each connection. */
  async close(unread: number = 0): Promise<{ report: CloseReport; processed: number }> {
    this.#stop({ how: 'graceful', options: { deadline: 10_000 }, unread });
    return this.#process.next('closed');
  }

  /** Has it close its listener and exit. */
  exit(): void {
    this.#stop({ how: 'plain' });
  }

  /** Has it close its listener and its sessions by Node's own `session.close()`, at the same time. */
  closeSessions(unread: number): void {
    this.#stop({ how: 'sessions', unread });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    await this.#lab.close();
  }

  #stop(stop: Http2ServerStop): void {
    this.#process.send(stop);
  }
}

/** Sessions of node:http2 that open streams all the time, and what they saw when their server went. */
export async function stopUnderSessions(
  server: Http2Server,
  way: 'cleartext' | 'tls',
  stop: (server: Http2Server) => void,
): Promise<readonly SessionSeen[]> {
  await using sessions = startFixture<SessionsSend>('connection/http2/http2-sessions', { host: server.client });
  const { host, port } = server;
  const order: SessionsOrder = { host, port, secure: way === 'tls', sessions: SESSIONS, every: EVERY };
  sessions.send(order);
  await sessions.next('enough');
  stop(server);
  return await sessions.next('seen');
}

export interface ClosedUnderSessions {
  readonly seen: readonly SessionSeen[];
  readonly report: CloseReport;
  /** Streams that the program has seen. */
  readonly processed: number;
}

/** The same, closed by lastcall. */
export async function closeUnderSessions(
  options: Http2ServerOptions,
  unread: number = 0,
): Promise<ClosedUnderSessions> {
  const { way } = options;
  await using server = await Http2Server.start(options);
  let closing: ReturnType<Http2Server['close']> | undefined;
  const seen = await stopUnderSessions(server, way, () => {
    closing = server.close(unread);
    closing.catch(() => {});
  });
  assert(closing !== undefined);
  return { seen, ...(await closing) };
}

/** Every stream that went out was served or refused, and some were. */
export function assertAllAnswered(seen: readonly SessionSeen[]): void {
  assert.deepEqual(
    seen.flatMap(({ cut }) => cut),
    [],
  );
  for (const { served, refused, opened } of seen) {
    assert.ok(served > 0);
    assert.equal(served + refused.length, opened.length);
  }
}

export function assertComplete({ outcome, connections }: CloseReport): void {
  assert.equal(outcome, 'complete', JSON.stringify(connections.cut));
  assert.equal(connections.atStart + connections.fromQueues, connections.ended);
  assert.equal(connections.farewells.said, connections.atStart + connections.fromQueues);
}

export function sum<T>(items: readonly T[], count: (item: T) => number): number {
  return items.reduce((total, item) => total + count(item), 0);
}
