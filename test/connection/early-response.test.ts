import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { suite, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type CloseReport, lingeringClose } from '../../src/index.ts';
import { portOf, startHttp } from '../close/calls-servers.ts';
import { certificateMissing } from '../harness/certificate.ts';
import type { EarlyClients, EarlyOutcome } from '../fixtures/connection/http1/http-early-clients.ts';
import type { EarlySetup, EarlyTold } from '../fixtures/connection/http1/http-early-server.ts';
import { labMissing, openLab } from '../lab/lab.ts';
import { ProgramMessages } from './program-messages.ts';

// A server that answers before it has read the request, and closes: what the client is still sending meets a closed socket, and
// the reset that the kernel answers with destroys what is still under way of the answer (RFC 9112 9.6, RFC 2525 2.17).

const CLIENTS = 40;
const REQUEST_BYTES = 3_000_000;
/** More than a fresh connection may have on its way, ten segments (RFC 6928): the rest is lost where the server resets at once. */
const ANSWER_BYTES = 20_000;
/** Where more happens before the reset: under TLS Node reads ahead, and during a close the server has waited for all clients. */
const LONG_ANSWER_BYTES = 200_000;

const serverProgram = fileURLToPath(new URL('../fixtures/connection/http1/http-early-server.js', import.meta.url));
const clientsProgram = fileURLToPath(new URL('../fixtures/connection/http1/http-early-clients.js', import.meta.url));

interface Kind {
  readonly name: string;
  readonly secure: boolean;
  /** Of each answer's body in normal service. */
  readonly answerBytes: number;
  readonly answers: readonly { readonly status: number; readonly whenAnswered: EarlyClients['whenAnswered'] }[];
  readonly missing: string | false;
}

const TOO_LARGE = { status: 413, whenAnswered: 'go on' } as const;
const NOT_ALLOWED = { status: 401, whenAnswered: 'stop' } as const;
const ELSEWHERE = { status: 307, whenAnswered: 'stop' } as const;

const KINDS: readonly Kind[] = [
  {
    name: 'http',
    secure: false,
    answerBytes: ANSWER_BYTES,
    answers: [TOO_LARGE, NOT_ALLOWED, ELSEWHERE],
    missing: labMissing,
  },
  {
    name: 'https',
    secure: true,
    answerBytes: LONG_ANSWER_BYTES,
    answers: [TOO_LARGE],
    missing: labMissing || certificateMissing,
  },
];

suite('early answers', { concurrency: true }, () => {
  suite('in the lab', { concurrency: 1 }, () => KINDS.forEach(testInLab));
  suite('lingeringClose cuts off', { concurrency: true }, testBounds);
});

function testInLab(kind: Kind): void {
  suite(`${CLIENTS} ${kind.name} clients that are still sending, 10 ms one way`, {
    skip: kind.missing,
    concurrency: 1,
  }, () => {
    for (const { status, whenAnswered } of kind.answers) {
      const title = `all get the whole of an early ${status} with lingeringClose, and then ${whenAnswered}`;
      test(title, { timeout: 60_000 }, async () => {
        const { outcomes } = await answerEarly(kind, { status, way: 'lingeringClose' }, whenAnswered);
        assertAllWhole(outcomes, kind.answerBytes, status, whenAnswered);
      });
    }

    test('control: most do not get the whole of an early 413 from Node alone', { timeout: 60_000 }, async (t) => {
      assertMostCut(await cutMost(() => answerEarly(kind, { way: 'Node' })), t);
    });

    test('all get the whole of an early 413 during a graceful close, and then go on', { timeout: 60_000 }, async () => {
      const { outcomes, report } = await answerEarly(kind, { way: 'gracefulClose', bodyBytes: LONG_ANSWER_BYTES });
      assertAllWhole(outcomes, LONG_ANSWER_BYTES, 413, 'go on');
      assertComplete(report);
    });

    // Node closes the connection as soon as a last response is written: the close must be there before.
    const sameTick = 'that is written in the tick in which the close is called, and then stop';
    test(`all get the whole of an early 413 ${sameTick}`, { timeout: 60_000 }, async () => {
      const { outcomes, report } = await answerEarly(kind, { way: 'gracefulClose', inSameTick: true }, 'stop');
      assertAllWhole(outcomes, kind.answerBytes, 413, 'stop');
      assertComplete(report);
    });

    test('control: most do not get the whole of it during a plain close', { timeout: 60_000 }, async (t) => {
      const setup = { way: 'server.close()', bodyBytes: LONG_ANSWER_BYTES } as const;
      assertMostCut(await cutMost(() => answerEarly(kind, setup)), t);
    });
  });
}

/** Answers clients in the lab that are all in the middle of their request. */
async function answerEarly(
  { secure, answerBytes }: Kind,
  { way, status = 413, inSameTick = false, bodyBytes = answerBytes }: Pick<EarlySetup, 'way'> & Partial<EarlySetup>,
  whenAnswered: EarlyClients['whenAnswered'] = 'go on',
): Promise<{ outcomes: readonly EarlyOutcome[]; report: CloseReport | undefined }> {
  await using lab = await openLab({ delay: 10 });
  const setup: EarlySetup = { secure, status, way, inSameTick, bodyBytes, clients: CLIENTS };
  const server = new ProgramMessages<EarlyTold>(lab.server.fork(serverProgram, [JSON.stringify(setup)]));
  const port = await server.next('port');

  const clients = lab.client.fork(clientsProgram);
  const told = new ProgramMessages<{ readonly outcomes: readonly EarlyOutcome[] }>(clients);
  const target = { host: lab.server.ipv4, port, secure };
  const order: EarlyClients = { ...target, clients: CLIENTS, bodyBytes: REQUEST_BYTES, whenAnswered };
  clients.send(order);
  const outcomes = await told.next('outcomes');
  const report = way === 'gracefulClose' ? await server.next('closed') : undefined;
  return { outcomes, report };
}

function assertAllWhole(
  outcomes: readonly EarlyOutcome[],
  answerBytes: number,
  status: number,
  whenAnswered: EarlyClients['whenAnswered'],
): void {
  assert.equal(outcomes.length, CLIENTS);
  for (const outcome of outcomes) {
    const told = JSON.stringify(outcome);
    assert.deepEqual([outcome.isWhole, outcome.received, outcome.status], [true, answerBytes, status], told);
    // One that goes on may be cut off, once it has been heard long enough; one that stops is not reset.
    if (whenAnswered === 'stop') assert.equal(outcome.ended, 'EOF', told);
    // The path was walked: it was still sending.
    assert.ok(outcome.unsent > 0, told);
  }
}

function assertComplete(report: CloseReport | undefined): void {
  const told = JSON.stringify(report);
  assert.equal(report?.outcome, 'complete', told);
  const { atStart, ended, lateRequests } = report.connections;
  assert.deepEqual([atStart, ended, lateRequests], [CLIENTS, CLIENTS, 0], told);
}

/** Where the clients are quick all may have read the answer before the server's reset comes: then it is done again. */
async function cutMost(
  answer: () => Promise<{ readonly outcomes: readonly EarlyOutcome[] }>,
): Promise<readonly EarlyOutcome[]> {
  for (let attempt = 1; ; attempt++) {
    const { outcomes } = await answer();
    if (countWhole(outcomes) < CLIENTS / 2 || attempt === 5) return outcomes;
  }
}

function countWhole(outcomes: readonly EarlyOutcome[]): number {
  return outcomes.filter(({ isWhole }) => isWhole).length;
}

function assertMostCut(outcomes: readonly EarlyOutcome[], t: TestContext): void {
  assert.equal(outcomes.length, CLIENTS);
  const whole = countWhole(outcomes);
  assert.ok(whole < CLIENTS / 2, `${whole} whole answers: ${JSON.stringify(outcomes)}`);
  t.diagnostic(`${whole} of ${CLIENTS} answers were whole`);
}

function testBounds(): void {
  test('a client that sends as fast as it can, after 64 MiB', { timeout: 60_000 }, async (t) => {
    const { answer, milliseconds, read } = await lingerWith(t, (socket) => {
      const piece = Buffer.alloc(65_536, 'x');
      const sendMore = (): void => {
        while (socket.writable && socket.write(piece));
      };
      socket.on('drain', sendMore);
      sendMore();
    });
    assert.equal(answer, 'whole');
    assert.ok(read > 64 * 1024 * 1024, `${read} bytes were read`);
    assert.ok(milliseconds < 20_000, `after ${milliseconds} ms`);
  });

  test('a client that says no more, after 2 s', { timeout: 60_000 }, async (t) => {
    const { answer, milliseconds } = await lingerWith(t, () => {});
    assert.equal(answer, 'whole');
    assert.ok(milliseconds > 1_900 && milliseconds < 5_000, `after ${milliseconds} ms`);
  });

  test('a client that sends for ever, a little at a time, after 30 s', { timeout: 60_000 }, async (t) => {
    const { answer, milliseconds } = await lingerWith(t, (socket) => {
      const timer = setInterval(() => socket.write('more'), 200);
      socket.on('close', () => clearInterval(timer));
    });
    assert.equal(answer, 'whole');
    assert.ok(milliseconds > 29_900 && milliseconds < 35_000, `after ${milliseconds} ms`);
  });
}

/** A client that gets an early answer and then does as it is told; resolves when its server has let it go. */
async function lingerWith(
  t: TestContext,
  goOn: (socket: net.Socket) => void,
): Promise<{ answer: string; milliseconds: number; read: number }> {
  const server = await startHttp(t, (_, response) => {
    response.writeHead(413, { Connection: 'close' }).end('too large');
  });
  lingeringClose(server);
  const client = net.connect({ host: '127.0.0.1', port: portOf(server), allowHalfOpen: true });
  t.after(() => client.destroy());
  client.on('error', () => {});
  client.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${Number.MAX_SAFE_INTEGER}\r\n\r\n`);
  const [socket]: net.Socket[] = await once(server, 'connection');
  assert(socket !== undefined);
  let text = '';
  client.on('data', (chunk) => {
    text += chunk.toString();
  });
  await once(client, 'end');
  const began = performance.now();
  const closed = once(socket, 'close');
  goOn(client);
  await closed;
  const answer = text.endsWith('too large\r\n0\r\n\r\n') ? 'whole' : text;
  return { answer, milliseconds: performance.now() - began, read: socket.bytesRead };
}
