import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { CloseReport } from '../../src/index.ts';
import type { EarlyClients, EarlyClientsTold, EarlyOutcome } from '../fixtures/connection/http1/http-early-clients.ts';
import type { EarlySetup, EarlyTold } from '../fixtures/connection/http1/http-early-server.ts';
import { count } from '../harness/counts.ts';
import { startFixture } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { openLab } from '../lab/lab.ts';

// A server that answers before it has read the request, and closes: what the client is still sending meets a closed socket, and
// the reset that the kernel answers with destroys what is still under way of the answer (RFC 9112 9.6, RFC 2525 2.17).

const CLIENTS = count(40, 12);
/** More than twice what both kernels and Node take in while nobody reads the body: it is being sent when the answer comes. */
const REQUEST_BYTES = 1_500_000;
/** More than a fresh connection may have on its way, ten segments (RFC 6928), and little enough that the kernel takes it at once. */
export const ANSWER_BYTES = 20_000;
/** Much more than the windows of a fresh connection. */
export const LONG_ANSWER_BYTES = 200_000;
/**
 * One way, in milliseconds. Node alone closes in the turn in which it writes the answer, and its reset comes before the first
 * acknowledgement asks for the rest, which takes a round trip. A busy machine may take a good part of a second for the turn:
 * the controls have a longer wire.
 */
const DELAY = 100;
const DELAY_OF_CONTROLS = 400;

export interface EarlyKind {
  readonly name: string;
  readonly secure: boolean;
  /** Of each answer's body in normal service. */
  readonly answerBytes: number;
  readonly answers: readonly { readonly status: number; readonly whenAnswered: EarlyClients['whenAnswered'] }[];
  readonly missing: string | false;
}

/** Tests what becomes of early answers over http or https. */
export function testEarlyAnswers(kind: EarlyKind): void {
  // Each test has a lab of its own, and waits for its wire: they wait side by side.
  suite(`${CLIENTS} ${kind.name} clients that are still sending, ${DELAY} ms one way`, {
    skip: kind.missing,
    concurrency: 3,
  }, () => {
    const inService = prove(`an early answer in normal service over ${kind.name}`);
    const inClose = prove(`an early answer during a close over ${kind.name}`);

    for (const { status, whenAnswered } of kind.answers) {
      const title = `all get the whole of an early ${status} with lingeringClose, and then ${whenAnswered}`;
      test(title, { timeout: 60_000 }, async (t) => {
        const { outcomes } = await answerEarly(kind, { status, way: 'lingeringClose' }, whenAnswered);
        assertAllWhole(outcomes, kind.answerBytes, status, whenAnswered);
        inService.held(t, { 'still sending': outcomes.length });
      });
    }

    test('control: most do not get the whole of an early 413 from Node alone', { timeout: 60_000 }, async (t) => {
      const { outcomes } = await answerEarly(kind, { way: 'Node', bodyBytes: ANSWER_BYTES, delay: DELAY_OF_CONTROLS });
      inService.lost(t, countCut(outcomes));
    });

    test('all get the whole of an early 413 during a graceful close, and then go on', {
      timeout: 60_000,
    }, async (t) => {
      const { outcomes, report } = await answerEarly(kind, { way: 'gracefulClose', bodyBytes: LONG_ANSWER_BYTES });
      assertAllWhole(outcomes, LONG_ANSWER_BYTES, 413, 'go on');
      assertComplete(report);
      inClose.held(t, { 'still sending': outcomes.length });
    });

    // Node closes the connection as soon as a last response is written: the close must be there before.
    const sameTick = 'that is written in the tick in which the close is called, and then stop';
    test(`all get the whole of an early 413 ${sameTick}`, { timeout: 60_000 }, async (t) => {
      const { outcomes, report } = await answerEarly(kind, { way: 'gracefulClose', inSameTick: true }, 'stop');
      assertAllWhole(outcomes, kind.answerBytes, 413, 'stop');
      assertComplete(report);
      inClose.held(t, { 'still sending': outcomes.length });
    });

    test('control: most do not get the whole of it during a plain close', { timeout: 60_000 }, async (t) => {
      const { outcomes } = await answerEarly(kind, {
        way: 'server.close()',
        bodyBytes: ANSWER_BYTES,
        delay: DELAY_OF_CONTROLS,
      });
      inClose.lost(t, countCut(outcomes));
    });
  });
}

type EarlyAnswer = Pick<EarlySetup, 'way'> & Partial<EarlySetup> & { readonly delay?: number };

/** Answers clients in the lab that are all in the middle of their request. */
async function answerEarly(
  { secure, answerBytes }: EarlyKind,
  { way, status = 413, inSameTick = false, bodyBytes = answerBytes, delay = DELAY }: EarlyAnswer,
  whenAnswered: EarlyClients['whenAnswered'] = 'go on',
): Promise<{ outcomes: readonly EarlyOutcome[]; report: CloseReport | undefined }> {
  await using lab = await openLab({ delay });
  const setup: EarlySetup = { secure, status, way, inSameTick, bodyBytes, clients: CLIENTS };
  await using server = startFixture<EarlyTold>('connection/http1/http-early-server', {
    host: lab.server,
    args: [JSON.stringify(setup)],
  });
  const port = await server.next('port');
  await using clients = startFixture<EarlyClientsTold>('connection/http1/http-early-clients', { host: lab.client });
  const target = { host: lab.server.ipv4, port, secure };
  const order: EarlyClients = { ...target, clients: CLIENTS, bodyBytes: REQUEST_BYTES, whenAnswered };
  clients.send(order);
  const outcomes = await clients.next('outcomes');
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
    const seen = { isWhole: outcome.isWhole, received: outcome.received, status: outcome.status };
    assert.deepEqual(seen, { isWhole: true, received: answerBytes, status }, told);
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
  assert.deepEqual({ atStart, ended, lateRequests }, { atStart: CLIENTS, ended: CLIENTS, lateRequests: 0 }, told);
}

/** How many did not get the whole answer: most. */
function countCut(outcomes: readonly EarlyOutcome[]): number {
  assert.equal(outcomes.length, CLIENTS);
  const cut = outcomes.filter(({ isWhole }) => !isWhole).length;
  assert.ok(cut > CLIENTS / 2, `${cut} of ${CLIENTS} answers were cut: ${JSON.stringify(outcomes)}`);
  return cut;
}
