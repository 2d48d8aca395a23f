import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { describe, it } from 'node:test';
import { makeFolder } from '../harness/folders.ts';
import { portOf, queuedAt } from '../harness/ports.ts';
import { startFixture, type TestProcess } from '../harness/processes.ts';
import { Scope } from '../harness/scope.ts';
import { until } from '../harness/wait.ts';
import type { StormCounts } from '../../src/storm/outcome.ts';
import { runStorm, type Storm, type StormResult } from '../../src/storm/storm.ts';

const RESPONSE = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
const CLIENTS = 20;
/** Clients that were served once and then keep their connection idle. */
const LONG_THINK = { clients: CLIENTS, keepAlive: true, thinkTime: [60_000, 60_000], duration: 30_000 } as const;

type Serve = (socket: net.Socket, request: number) => void;

/** A server that does what `serve` says each time that a request has come, `request` being its number on the connection. */
async function startServer(scope: Scope, serve: Serve, where: net.ListenOptions = {}): Promise<net.Server> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    let requests = 0;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('data', () => {
      requests += 1;
      serve(socket, requests);
    });
  });
  server.listen('path' in where ? where : { host: '127.0.0.1', port: 0, ...where });
  await once(server, 'listening');
  scope.defer(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return server;
}

function targetOf(server: net.Server): { host: string; port: number } {
  return { host: '127.0.0.1', port: portOf(server) };
}

/** One request from each client to a server that does this; the counts must be these and no others. */
async function oneRequestEach(serve: Serve, expected: Partial<StormCounts>): Promise<StormResult> {
  await using scope = new Scope();
  const server = await startServer(scope, serve);
  // Only who is to be left unanswered need not wait for long.
  const timeout = expected.unanswered === undefined ? 30_000 : 400;
  const storm = runStorm({ target: targetOf(server), clients: CLIENTS, requests: CLIENTS, timeout });
  return await assertResult(storm, expected);
}

async function assertResult(storm: Storm, expected: Partial<StormCounts>): Promise<StormResult> {
  const result = await storm.finished;
  assert.deepEqual(nonZero(result.counts), expected, JSON.stringify(result.errors));
  return result;
}

function nonZero(counts: Readonly<StormCounts>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

describe('the storm counts as', () => {
  it('served: a whole response', async () => {
    const result = await oneRequestEach((socket) => socket.write(RESPONSE), { served: CLIENTS });
    assert.equal(result.lost, 0);
    assert.equal(result.connections, CLIENTS);
    const { p50, p90, p99, max } = result.latency;
    assert(0 < p50 && p50 <= p90 && p90 <= p99 && p99 <= max && max <= result.duration);
  });

  it('served: chunks that come one by one, and a 100 Continue before', async () => {
    const parts = [
      'HTTP/1.1 100 Continue\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Enc',
      'oding: chunked\r\n\r\n5\r\nhe',
      'llo\r',
      '\n0\r\n\r',
      '\n',
    ];
    const writeNext = (socket: net.Socket, index: number): void => {
      const part = parts[index];
      if (part !== undefined) socket.write(part, () => setImmediate(writeNext, socket, index + 1));
    };
    await oneRequestEach((socket) => writeNext(socket, 0), { served: CLIENTS });
  });

  it('served: a body without a length, at EOF', async () => {
    await oneRequestEach((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nhello'), { served: CLIENTS });
  });

  it('served, and a server error: a whole 503', async () => {
    const response = 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n';
    await oneRequestEach((socket) => socket.write(response), { served: CLIENTS, serverErrors: CLIENTS });
  });

  it('served: a response longer than its Content-Length, up to that length', async () => {
    await oneRequestEach((socket) => socket.write(`${RESPONSE} and more`), { served: CLIENTS });
  });

  it('refused: there is no listener', async () => {
    await using scope = new Scope();
    const server = await startServer(scope, () => {});
    const target = targetOf(server);
    server.close();
    await once(server, 'close');
    const storm = runStorm({ target, clients: CLIENTS });
    const result = await assertResult(storm, { refused: CLIENTS });
    assert.equal(result.lost, 0);
    assert.equal(result.connections, 0);
  });

  it('refused: a Unix socket that is not there', async () => {
    using folder = makeFolder();
    const storm = runStorm({ target: { path: path.join(folder.path, 'nobody-here') }, clients: CLIENTS });
    await assertResult(storm, { refused: CLIENTS });
  });

  it('reset: accepted, then RST', async () => {
    await using scope = new Scope();
    const server = await startServer(scope, () => {});
    server.on('connection', (socket) => socket.resetAndDestroy());
    const storm = runStorm({ target: targetOf(server), clients: CLIENTS, requests: CLIENTS });
    const result = await assertResult(storm, { reset: CLIENTS });
    assert.equal(result.lost, CLIENTS);
    assert.equal(result.connections, CLIENTS);
  });

  it('reset: RST in answer to the request', async () => {
    await oneRequestEach((socket) => socket.resetAndDestroy(), { reset: CLIENTS });
  });

  it('reset: queued when the listener was closed', async () => {
    await using child = startFixture('storm/storm-never-accepts');
    const port = await portPrintedBy(child);
    const storm = runStorm({ target: { host: '127.0.0.1', port }, clients: 2, requests: 2 });
    await until('both clients are queued', () => queuedAt(port) === 2);
    child.signal('SIGKILL');
    await assertResult(storm, { reset: 2 });
  });

  it('eof: FIN before any byte', async () => {
    const result = await oneRequestEach((socket) => socket.end(), { eof: CLIENTS });
    assert.equal(result.lost, CLIENTS);
  });

  it('cut: half a response, then FIN', async () => {
    const result = await oneRequestEach((socket) => socket.end(RESPONSE.slice(0, -2)), { cut: CLIENTS });
    assert.equal(result.lost, CLIENTS);
    assert.deepEqual(result.errors, { cut: ['EOF'] });
  });

  it('cut: half a response, then RST', async () => {
    await oneRequestEach((socket) => writeAndReset(socket, RESPONSE.slice(0, -2)), { cut: CLIENTS });
  });

  it('cut: a body without a length that ends in RST', async () => {
    await oneRequestEach((socket) => writeAndReset(socket, 'HTTP/1.1 200 OK\r\n\r\nhello'), { cut: CLIENTS });
  });

  it('cut: less than its Content-Length', async () => {
    await oneRequestEach((socket) => socket.end(RESPONSE.replace('5', '6')), { cut: CLIENTS });
  });

  it('cut: garbage without an end of line', async () => {
    const result = await oneRequestEach((socket) => socket.write('\x16\x03\x01garbage'), { cut: CLIENTS });
    assert.deepEqual(result.errors, { cut: ['not an HTTP/1.x status line'] });
  });

  it('cut: a huge head', async () => {
    const head = `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`;
    const result = await oneRequestEach((socket) => socket.write(head), { cut: CLIENTS });
    assert.deepEqual(result.errors, { cut: ['a head that is too long'] });
  });

  it('unanswered: accepted, and never answered', async () => {
    await oneRequestEach(() => {}, { unanswered: CLIENTS });
  });

  it('unanswered: a response that stops half-way', async () => {
    await oneRequestEach((socket) => socket.write(RESPONSE.slice(0, -2)), { unanswered: CLIENTS });
  });

  it('unanswered: never accepted, because the queue is full', async () => {
    await using child = startFixture('storm/storm-never-accepts');
    const port = await portPrintedBy(child);
    const storm = runStorm({ target: { host: '127.0.0.1', port }, clients: CLIENTS, requests: CLIENTS, timeout: 400 });
    const result = await assertResult(storm, { unanswered: CLIENTS });
    assert.equal(result.connections, 2);
    assert.deepEqual(result.errors.unanswered?.toSorted(), ['asked for 400 ms', 'connecting for 400 ms']);
  });

  for (const ending of ['FIN', 'RST'] as const) {
    it(`late: a second request on the connection that meets a ${ending}`, async () => {
      await using scope = new Scope();
      const server = await startServer(scope, (socket, request) => {
        if (request === 1) socket.write(RESPONSE);
        else if (ending === 'FIN') socket.end();
        else socket.resetAndDestroy();
      });
      const storm = runStorm({ target: targetOf(server), clients: 1, keepAlive: true, requests: 10 });
      const result = await assertResult(storm, { served: 5, late: 5 });
      assert.equal(result.connections, 5);
      assert.equal(result.lost, 5);
    });
  }

  for (const [ending, expected, lost] of [
    ['reset', { served: CLIENTS, idleReset: CLIENTS }, CLIENTS],
    ['closed', { served: CLIENTS, idleClosed: CLIENTS }, 0],
  ] as const) {
    it(`idle and ${ending}: what happens between two requests`, async () => {
      await using scope = new Scope();
      const sockets: net.Socket[] = [];
      const server = await startServer(scope, (socket) => {
        sockets.push(socket);
        socket.write(RESPONSE);
      });
      const storm = runStorm({ ...LONG_THINK, target: targetOf(server) });
      await storm.served(CLIENTS);
      for (const socket of sockets) {
        if (ending === 'reset') socket.resetAndDestroy();
        else socket.end();
      }
      await until('all have ended', () => storm.counts.idleReset + storm.counts.idleClosed === CLIENTS);
      storm.stop();
      const result = await assertResult(storm, expected);
      assert.equal(result.lost, lost);
    });
  }

  it('idle and reset: a RST right behind the last response', async () => {
    await using scope = new Scope();
    const server = await startServer(scope, (socket) => writeAndReset(socket, RESPONSE));
    const target = targetOf(server);
    const storm = runStorm({
      target,
      clients: CLIENTS,
      keepAlive: true,
      thinkTime: [60_000, 60_000],
      duration: 30_000,
    });
    await storm.served(CLIENTS);
    await until('all are reset', () => storm.counts.idleReset === CLIENTS);
    storm.stop();
    await assertResult(storm, { served: CLIENTS, idleReset: CLIENTS });
  });

  it('failed: an address that is not ours', async () => {
    await using scope = new Scope();
    const server = await startServer(scope, (socket) => socket.write(RESPONSE));
    const storm = runStorm({ target: targetOf(server), clients: 2, requests: 2, localAddresses: ['192.0.2.1'] });
    const result = await assertResult(storm, { failed: 2 });
    assert.match(result.errors.failed?.[0] ?? '', /EADDRNOTAVAIL/);
    assert.equal(result.lost, 0);
  });

  it('aborted: under way when the signal came', async () => {
    await using scope = new Scope();
    const controller = new AbortController();
    let asked = 0;
    const server = await startServer(scope, () => {
      asked += 1;
      if (asked === CLIENTS) controller.abort();
    });
    const storm = runStorm({ target: targetOf(server), clients: CLIENTS, signal: controller.signal });
    await assertResult(storm, { aborted: CLIENTS });
  });
});

describe('the storm', () => {
  it('serves many clients over kept connections', async () => {
    await using scope = new Scope();
    const server = http.createServer((_, response) => response.end('hello'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    scope.defer(() => server.close());
    const storm = runStorm({
      target: targetOf(server),
      clients: 50,
      keepAlive: true,
      requests: 2_000,
      thinkTime: [0, 1],
    });
    const result = await assertResult(storm, { served: 2_000 });
    assert.equal(result.connections, 50);
  });

  it('handles 2,000 clients with a new connection per request', async () => {
    await using scope = new Scope();
    const server = await startServer(scope, (socket) => socket.end(RESPONSE), { backlog: 4096 });
    const storm = runStorm({ target: targetOf(server), clients: 2_000, requests: 6_000, duration: 30_000 });
    const result = await assertResult(storm, { served: 6_000 });
    assert.equal(result.connections, 6_000);
  });

  it('waits for a place in the queue of a Unix socket', async () => {
    await using scope = new Scope();
    using folder = makeFolder();
    const socketPath = path.join(folder.path, 'socket');
    const server = await startServer(scope, (socket) => socket.end(RESPONSE), { path: socketPath, backlog: 1 });
    assert(server.listening);
    const storm = runStorm({ target: { path: socketPath }, clients: 100, requests: 100 });
    await assertResult(storm, { served: 100 });
  });

  it('lets a refused client try again after a pause', async () => {
    await using scope = new Scope();
    const server = await startServer(scope, (socket) => socket.end(RESPONSE));
    const target = targetOf(server);
    server.close();
    await once(server, 'close');
    const storm = runStorm({ target, clients: 1, afterRefusal: 1 });
    await until('it was refused three times', () => storm.counts.refused >= 3);
    server.listen(target);
    await storm.served(1);
    storm.stop();
    const { counts } = await storm.finished;
    assert.deepEqual(Object.keys(nonZero(counts)), ['served', 'refused']);
  });

  it('finishes requests under way after stop', async () => {
    await using scope = new Scope();
    const waiting: net.Socket[] = [];
    const server = await startServer(scope, (socket) => {
      waiting.push(socket);
      if (waiting.length < CLIENTS) return;
      storm.stop();
      for (const each of waiting) each.write(RESPONSE);
    });
    const storm = runStorm({ target: targetOf(server), clients: CLIENTS });
    await assertResult(storm, { served: CLIENTS });
  });

  it('ends by itself after its duration', async () => {
    await using scope = new Scope();
    const server = await startServer(scope, (socket) => socket.write(RESPONSE));
    const seen: number[] = [];
    const storm = runStorm({
      target: targetOf(server),
      clients: 2,
      thinkTime: [1, 5],
      duration: 350,
      onProgress: (counts) => seen.push(counts.served),
    });
    const result = await storm.finished;
    // Node's timers count in whole milliseconds, and so may be early by a part of one.
    assert(result.duration >= 349);
    assert(seen.length > 0);
    assert.equal(result.lost, 0);
  });

  it('rejects a wait for more requests than were served', async () => {
    await using scope = new Scope();
    const server = await startServer(scope, (socket) => socket.write(RESPONSE));
    const storm = runStorm({ target: targetOf(server), clients: 1, requests: 3 });
    await assert.rejects(storm.served(4), /^Error: The storm ended with 3 of 4 requests served$/);
    await storm.served(3);
    await assert.rejects(storm.served(4));
  });

  it('leaves no socket and no timer behind', async () => {
    await using scope = new Scope();
    const server = await startServer(scope, (socket) => socket.write(RESPONSE));
    await until('no socket is left', () => countResources() === 0);
    const timersBefore = countResources('Timeout');
    const storm = runStorm({ target: targetOf(server), clients: CLIENTS, keepAlive: true, requests: 100 });
    await storm.served(1);
    assert(countResources() > 0);
    await storm.finished;
    assert.equal(countResources('Timeout'), timersBefore);
    await until('no socket is left', () => countResources() === 0);
  });
});

function countResources(kind = 'TCPSocketWrap'): number {
  return process.getActiveResourcesInfo().filter((each) => each === kind).length;
}

function writeAndReset(socket: net.Socket, bytes: string): void {
  socket.write(bytes, () => socket.resetAndDestroy());
}

async function portPrintedBy(child: TestProcess): Promise<number> {
  const [port] = await child.prints(/^\d+/);
  return Number(port);
}
