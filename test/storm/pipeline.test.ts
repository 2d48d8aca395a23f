import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { describe, it } from 'node:test';
import { portOf } from '../harness/ports.ts';
import { Scope } from '../harness/scope.ts';
import type { StormCounts } from '../../src/storm/outcome.ts';
import { runStorm, type StormResult } from '../../src/storm/storm.ts';

const RESPONSE = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
const LAST_RESPONSE = RESPONSE.replace('OK\r\n', 'OK\r\nConnection: close\r\n');
const PIPELINE = 3;

/** What a server does when all requests of a group have come. */
type Serve = (socket: net.Socket) => void;

/** One client that writes three requests together, and once more if it is let; the counts must be these and no others. */
async function oneGroup(serve: Serve, expected: Partial<StormCounts>): Promise<StormResult> {
  await using scope = new Scope();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    let received = '';
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (received.split('GET ').length - 1 < PIPELINE || !received.endsWith('\r\n\r\n')) return;
      received = '';
      serve(socket);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  scope.defer(() => server.close());
  const result = await runStorm({
    target: { host: '127.0.0.1', port: portOf(server) },
    clients: 1,
    keepAlive: true,
    pipeline: PIPELINE,
    requests: PIPELINE,
    // Only who is to be left unanswered need not wait for long.
    timeout: expected.unanswered === undefined ? 30_000 : 1_000,
  }).finished;
  const counts = Object.fromEntries(Object.entries(result.counts).filter(([, count]) => count > 0));
  assert.deepEqual(counts, expected, JSON.stringify(result.errors));
  return result;
}

function writeAndReset(socket: net.Socket, bytes: string): void {
  socket.write(bytes, () => socket.resetAndDestroy());
}

describe('of requests that are written together, the storm counts as', () => {
  it('served: all that are answered, in one piece', async () => {
    await oneGroup((socket) => socket.write(RESPONSE.repeat(3)), { served: 3 });
  });

  it('served: all that are answered, in pieces of any size', async () => {
    const bytes = `${RESPONSE.repeat(2)}${LAST_RESPONSE}`;
    const writeFrom = (socket: net.Socket, at: number): void => {
      if (at < bytes.length) socket.write(bytes.slice(at, at + 7), () => setImmediate(writeFrom, socket, at + 7));
    };
    await oneGroup((socket) => writeFrom(socket, 0), { served: 3 });
  });

  it('unprocessed, not lost: those behind an answer that says `Connection: close`', async () => {
    const result = await oneGroup((socket) => socket.end(LAST_RESPONSE), { served: 1, unprocessed: 2 });
    assert.equal(result.lost, 0);
  });

  it('unprocessed, not lost: those behind an answer whose end is the end of the connection', async () => {
    const serve: Serve = (socket) => socket.end(`${RESPONSE}HTTP/1.1 200 OK\r\n\r\nhello`);
    await oneGroup(serve, { served: 2, unprocessed: 1 });
  });

  for (const [ending, end] of [
    ['FIN', (socket: net.Socket, bytes: string) => socket.end(bytes)],
    ['RST', writeAndReset],
  ] as const) {
    it(`late: those behind an answer that did not say so, and a ${ending}`, async () => {
      const result = await oneGroup((socket) => end(socket, RESPONSE), { served: 1, late: 2 });
      assert.equal(result.lost, 2);
    });

    it(`cut and late: half an answer, then ${ending}`, async () => {
      await oneGroup((socket) => end(socket, RESPONSE + RESPONSE.slice(0, -1)), { served: 1, cut: 1, late: 1 });
    });
  }

  it('reset: all three, on a new connection', async () => {
    await oneGroup((socket) => socket.resetAndDestroy(), { reset: 3 });
  });

  it('cut: the one that breaks the protocol, and all after it', async () => {
    await oneGroup((socket) => socket.write(`${RESPONSE}garbage`), { served: 1, cut: 2 });
  });

  it('unanswered: all that have no answer in time', async () => {
    await oneGroup((socket) => socket.write(RESPONSE), { served: 1, unanswered: 2 });
  });
});

describe('a storm of pipelining clients', () => {
  it('has every request answered over kept connections, and begins no more than its limit', async () => {
    await using scope = new Scope();
    const server = http.createServer((_, response) => response.end('hello'));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    scope.defer(() => server.close());
    const storm = runStorm({
      target: { host: '127.0.0.1', port: portOf(server) },
      clients: 20,
      keepAlive: true,
      pipeline: PIPELINE,
      requests: 1_000,
    });
    const { counts, connections } = await storm.finished;
    assert.deepEqual({ served: counts.served, connections }, { served: 1_000, connections: 20 });
  });
});
