import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { suite, test, type TestContext } from 'node:test';
import type { CloseReport } from '../../src/index.ts';
import { certificateMissing } from '../harness/certificate.ts';
import type { SessionSeen, SessionsOrder } from '../fixtures/connection/http2/http2-sessions.ts';
import { type Host, labMissing, openLab } from '../lab/lab.ts';
import { otherNodes } from '../harness/other-nodes.ts';
import { fixture, missingProgram, outputOf } from './programs.ts';

const NOTICE = 2 ** 31 - 1;
const SESSIONS = 20;
const EVERY = 10;

const nodes = [
  { title: `Node ${process.versions.node}`, path: process.execPath, missing: false as const },
  ...otherNodes,
];

for (const { title, path, missing } of nodes) {
  suite(`20 HTTP/2 sessions over 25 ms, a stream every 10 ms, on ${title}`, { skip: labMissing || missing }, () => {
    test('in cleartext no stream is refused, none is cut, and each session gets its notice and then its last stream', async (t) => {
      const { report, seen } = await closeUnderSessions(t, 'cleartext', path);
      assertAllAnswered(seen);
      assert.deepEqual(
        seen.map(({ refused }) => refused.length),
        seen.map(() => 0),
      );
      for (const { goaways, opened } of seen) {
        const [first, ...others] = goaways;
        assert.equal(first, NOTICE);
        // Node repeats the second when it ends the session.
        assert.deepEqual([...new Set(others)], [Math.max(...opened)]);
      }
      assertComplete(report);
      assert.equal(report.connections.lateRequests, 0);
      t.diagnostic(`${sum(seen, ({ served }) => served)} served, 0 refused`);
    });

    test('under TLS none is cut, and those that cross the GOAWAY are refused as never processed', {
      skip: certificateMissing,
    }, async (t) => {
      const { report, seen, processed } = await closeUnderSessions(t, 'tls', path);
      assertAllAnswered(seen);
      const refused = sum(seen, (session) => session.refused.length);
      assert.ok(refused > 0, 'some streams have crossed the GOAWAY');
      assert.equal(
        processed,
        sum(seen, ({ served }) => served),
      );
      for (const session of seen) {
        const [last = 0] = session.goaways;
        assert.deepEqual([...new Set(session.goaways)], [last]);
        assert.ok(session.refused.every((id) => id > last));
      }
      assertComplete(report);
      t.diagnostic(`${processed} served, ${refused} refused`);
    });
  });
}

suite('20 HTTP/2 sessions over 25 ms', { skip: labMissing }, () => {
  test('control: a plain close and exit cuts streams', async (t) => {
    const { seen } = await closeUnderSessions(t, 'cleartext', process.execPath, 'plain');
    assert.ok(sum(seen, ({ cut }) => cut.length) > 0);
  });
});

suite('other HTTP/2 clients', { skip: labMissing }, () => {
  const newest = otherNodes.find(({ title }) => title === 'Node 24');

  // Its version 7, for Node 20, gives up whatever is under way at any GOAWAY.
  test('undici 8: what is under way is answered', { skip: certificateMissing || newest?.missing }, async (t) => {
    const { client, url, busy, close } = await startServer(t, 'tls', { busy: 11 });
    const clients = client.fork(fixture('connection/http2/http2-undici'), [], {
      node: newest?.path ?? process.execPath,
    });
    const result = next<{ failed: readonly string[] }>(clients, 'failed');
    const module = new URL('../../../scripts/other-nodes/node_modules/undici/index.js', import.meta.url).href;
    clients.send({ module, url });
    await busy;
    assertComplete(await close());
    assert.deepEqual((await result).failed, []);
  });

  test('h2load (nghttp2): every request that it has begun succeeds', { skip: missingProgram('h2load') }, async (t) => {
    const { client, url, busy, close, processed } = await startServer(t, 'cleartext');
    const load = client.spawn('h2load', ['-c', '10', '-m', '10', '-D', '3', url], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const output = outputOf(load);
    await busy;
    assertComplete(await close());
    const text = await output;
    assert.match(text, new RegExp(`${processed()} started, .* ${processed()} succeeded, 0 failed, 0 errored`));
  });

  // Without TLS its version 7.88 fails to multiplex, whatever the server does.
  test('curl (nghttp2): what is under way is answered', {
    skip: certificateMissing || missingProgram('curl'),
  }, async (t) => {
    const { client, url, busy, close } = await startServer(t, 'tls', { busy: 10 });
    const urls = Array.from({ length: 10 }, (_, index) => `${url}${index}`);
    const curl = client.spawn('curl', ['-sSk', '--http2', '--parallel', ...urls], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(curl, 'exit');
    const output = outputOf(curl);
    await busy;
    assertComplete(await close());
    assert.deepEqual(await ended, [0, null]);
    assert.equal(await output, 'served\n'.repeat(10));
  });
});

interface Started {
  readonly client: Host;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** So many streams as asked for have come in. */
  readonly busy: Promise<unknown>;
  readonly close: (how?: 'graceful' | 'plain') => Promise<CloseReport>;
  readonly processed: () => number;
}

async function startServer(
  t: TestContext,
  way: 'cleartext' | 'tls',
  { node = process.execPath, busy: streams = 200 }: { readonly node?: string; readonly busy?: number } = {},
): Promise<Started> {
  const lab = await openLab({ delay: 25 });
  t.after(lab.close);
  const server = lab.server.fork(fixture('connection/http2/http2-server'), ['0.0.0.0', way, String(streams)], { node });
  const { port } = await next<{ port: number }>(server, 'port');
  const busy = next(server, 'busy');
  busy.catch(() => {});
  let processed = 0;
  const close = async (how = 'graceful'): Promise<CloseReport> => {
    const told = next<{ report: CloseReport; processed: number }>(server, 'report');
    server.send({ how, options: { deadline: 10_000 } });
    const { report, processed: count } = await told;
    processed = count;
    return report;
  };
  const host = lab.server.ipv4;
  return {
    client: lab.client,
    url: `http${way === 'tls' ? 's' : ''}://${host}:${port}/`,
    host,
    port,
    busy,
    close,
    processed: () => processed,
  };
}

async function closeUnderSessions(
  t: TestContext,
  way: 'cleartext' | 'tls',
  node: string,
  how: 'graceful' | 'plain' = 'graceful',
): Promise<{ report: CloseReport; seen: readonly SessionSeen[]; processed: number }> {
  const { client, host, port, close, processed } = await startServer(t, way, { node });
  const sessions = client.fork(fixture('connection/http2/http2-sessions'));
  const order: SessionsOrder = { host, port, secure: way === 'tls', sessions: SESSIONS, every: EVERY };
  const enough = next<{ enough: true }>(sessions, 'enough');
  const result = next<{ seen: readonly SessionSeen[] }>(sessions, 'seen');
  sessions.send(order);
  await enough;
  const closing = close(how);
  closing.catch(() => {});
  const { seen } = await result;
  const report = how === 'plain' ? (undefined as unknown as CloseReport) : await closing;
  return { report, seen, processed: processed() };
}

/** Every stream that went out was served or refused, and some were. */
function assertAllAnswered(seen: readonly SessionSeen[]): void {
  assert.deepEqual(
    seen.flatMap(({ cut }) => cut),
    [],
  );
  for (const { served, refused, opened } of seen) {
    assert.ok(served > 0);
    assert.equal(served + refused.length, opened.length);
  }
}

function assertComplete({ outcome, connections }: CloseReport): void {
  assert.equal(outcome, 'complete', JSON.stringify(connections.cut));
  assert.equal(connections.atStart + connections.fromQueues, connections.ended);
  assert.equal(connections.farewells.said, connections.atStart + connections.fromQueues);
}

async function next<T extends object>(child: ChildProcess, key: string): Promise<T> {
  for (;;) {
    const [message] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => Promise.reject(new Error(`ended without telling of ${key}`))),
    ]);
    if (typeof message === 'object' && message !== null && key in message) return message as T;
  }
}

function sum<T>(items: readonly T[], count: (item: T) => number): number {
  return items.reduce((total, item) => total + count(item), 0);
}
