import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it, suite, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type CloseReport, lingeringClose } from '../../src/index.ts';
import { portOf, startHttp } from '../close/calls-servers.ts';
import { certificateMissing } from '../fixtures/call-certificate.ts';
import type { EarlyClients, EarlyOutcome } from '../fixtures/http-early-clients.ts';
import type { EarlySetup, EarlyTold } from '../fixtures/http-early-server.ts';
import { labMissing, openLab } from '../lab/lab.ts';
import { ProgramMessages } from './program-messages.ts';

// A server that answers before it has read the request, and closes: what the client is still sending meets a closed socket, and
// the reset that the kernel answers with destroys what is still under way of the answer (RFC 9112 9.6, RFC 2525 2.17).

const CLIENTS = 40;
const REQUEST_BYTES = 3_000_000;
const ANSWER_BYTES = 20_000;

const serverProgram = fileURLToPath(new URL('../fixtures/http-early-server.js', import.meta.url));
const clientsProgram = fileURLToPath(new URL('../fixtures/http-early-clients.js', import.meta.url));

const KINDS: readonly { readonly name: string; readonly secure: boolean; readonly missing: string | false }[] = [
  { name: 'http', secure: false, missing: labMissing },
  { name: 'https', secure: true, missing: labMissing === false ? certificateMissing : labMissing },
];

for (const { name, secure, missing } of KINDS) {
  suite(`${CLIENTS} ${name} clients that are still sending, 10 ms one way`, { skip: missing }, () => {
    for (const [what, status] of [
      ['an early 413', 413],
      ['an early 401', 401],
      ['an early redirect', 307],
    ] as const) {
      test(`all get the whole of ${what} with lingeringClose`, { timeout: 60_000 }, async () => {
        const { outcomes } = await answerEarly({ secure, status, way: 'lingeringClose' });
        assertAllWhole(outcomes, status);
      });
    }

    test('control: hardly one gets the whole of an early 413 from Node alone', { timeout: 60_000 }, async (t) => {
      assertHardlyOneWhole((await answerEarly({ secure, status: 413, way: 'Node' })).outcomes, t);
    });

    test('all get the whole of an early 413 during a graceful close, though the process exits', {
      timeout: 60_000,
    }, async () => {
      const { outcomes, report } = await answerEarly({ secure, status: 413, way: 'gracefulClose' });
      assertAllWhole(outcomes, 413);
      assert.equal(report?.outcome, 'complete', JSON.stringify(report));
      assert.deepEqual([report.connections.atStart, report.connections.ended], [CLIENTS, CLIENTS]);
      assert.equal(report.connections.lateRequests, 0);
    });

    test('control: hardly one gets the whole of it during a plain close', { timeout: 60_000 }, async (t) => {
      assertHardlyOneWhole((await answerEarly({ secure, status: 413, way: 'server.close()' })).outcomes, t);
    });
  });
}

/** Answers clients in the lab that are all in the middle of their request. */
async function answerEarly(
  how: Pick<EarlySetup, 'secure' | 'status' | 'way'>,
): Promise<{ outcomes: readonly EarlyOutcome[]; report: CloseReport | undefined }> {
  await using lab = await openLab({ delay: 10 });
  const setup: EarlySetup = { ...how, bodyBytes: ANSWER_BYTES, clients: CLIENTS };
  const server = new ProgramMessages<EarlyTold>(lab.server.fork(serverProgram, [JSON.stringify(setup)]));
  const port = await server.next('port');

  const clients = lab.client.fork(clientsProgram);
  const told = new ProgramMessages<{ readonly outcomes: readonly EarlyOutcome[] }>(clients);
  const { secure } = how;
  const order: EarlyClients = { host: lab.server.ipv4, port, secure, clients: CLIENTS, bodyBytes: REQUEST_BYTES };
  clients.send(order);
  const outcomes = await told.next('outcomes');
  const report = how.way === 'gracefulClose' ? await server.next('closed') : undefined;
  return { outcomes, report };
}

function assertAllWhole(outcomes: readonly EarlyOutcome[], status: number): void {
  assert.equal(outcomes.length, CLIENTS);
  for (const outcome of outcomes) {
    const told = JSON.stringify(outcome);
    assert.deepEqual([outcome.isWhole, outcome.received, outcome.status], [true, ANSWER_BYTES, status], told);
    assert.equal(outcome.ended, 'EOF', told);
    // The path was walked: it was still sending.
    assert.ok(outcome.unsent > 0, told);
  }
}

function assertHardlyOneWhole(outcomes: readonly EarlyOutcome[], t: TestContext): void {
  assert.equal(outcomes.length, CLIENTS);
  const whole = outcomes.filter(({ isWhole }) => isWhole).length;
  assert.ok(whole <= CLIENTS / 10, `${whole} whole answers: ${JSON.stringify(outcomes)}`);
  t.diagnostic(`${whole} of ${CLIENTS} answers were whole`);
}

describe('lingeringClose cuts off', { concurrency: true, skip: false }, () => {
  it('a client that sends as fast as it can, after 64 MiB', { timeout: 60_000 }, async (t) => {
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

  it('a client that says no more, after 2 s', { timeout: 60_000 }, async (t) => {
    const { answer, milliseconds } = await lingerWith(t, () => {});
    assert.equal(answer, 'whole');
    assert.ok(milliseconds > 1_900 && milliseconds < 5_000, `after ${milliseconds} ms`);
  });

  it('a client that sends for ever, a little at a time, after 30 s', { timeout: 60_000 }, async (t) => {
    const { answer, milliseconds } = await lingerWith(t, (socket) => {
      const timer = setInterval(() => socket.write('more'), 200);
      socket.on('close', () => clearInterval(timer));
    });
    assert.equal(answer, 'whole');
    assert.ok(milliseconds > 29_900 && milliseconds < 35_000, `after ${milliseconds} ms`);
  });
});

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
