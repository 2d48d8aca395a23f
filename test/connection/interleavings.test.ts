import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { type Direction, labMissing, openLab } from '../lab/lab.ts';
import { LabClient, nextLocalPort } from '../lab/lab-client.ts';
import { endOf } from './interleave-messages.ts';
import {
  countAnswers,
  type Interleaved,
  type Interleaving,
  interleave,
  type Place,
  type Scenery,
} from './interleave.ts';
import { InterleaveServers } from './interleave-server-driver.ts';

// One HTTP/1.1 client with two requests on one connection: the close begun between any two of its packets, and any one
// packet lost once.

// How many interleavings run side by side: enough that their waits overlap, few enough that the machine keeps up.
const AT_ONCE = 16;
const DIRECTIONS: readonly Direction[] = ['to server', 'to client'];

describe('one client with two requests on one connection', { skip: labMissing, timeout: 600_000 }, () => {
  const scope = new Scope();
  let scenery: Scenery;
  /** Where a close may begin, and what may be lost, those of the connection's end included. */
  let closes: readonly Interleaving['closeBefore'][];
  let losses: readonly Place[];

  before(async () => {
    const lab = scope.use(await openLab({ delay: 5 }));
    const servers = scope.use(new InterleaveServers(lab.server));
    scenery = { lab, client: await LabClient.start(lab.client), servers };
    const { toAnswers, toEnd } = await record(scenery);
    closes = [...toAnswers, 'answered'];
    losses = toEnd;
    assert.ok(toAnswers.length >= 8, `${toAnswers.length} packets until both answers are there`);
  });
  after(() => scope[Symbol.asyncDispose]());

  const proof = prove('two requests on one connection, the close between any two packets, any packet lost');

  /** Each place of the close, without a loss and with each. */
  const pairs = (how: Interleaving['how']): readonly Interleaving[] =>
    closes.flatMap((closeBefore) => [undefined, ...losses].map((lost) => ({ how, closeBefore, lost })));

  it('gets whole answers and an end in good order, wherever the close begins and whatever is lost', async (t) => {
    const all = await runAll(scenery, pairs('graceful'));
    for (const { interleaving, result } of all) checkGraceful(interleaving, result);
    const count = (what: (result: Interleaved) => boolean): number => all.filter(({ result }) => what(result)).length;
    const walked = {
      closes: all.length,
      inTheMiddle: count(({ wasThere }) => wasThere),
      lost: count(({ wasLost }) => wasLost),
      refused: count(({ connected }) => !connected),
      both: count(({ processed }) => processed.length === 2),
      late: count(({ report }) => (report?.connections.lateRequests ?? 0) > 0),
    };
    t.diagnostic(JSON.stringify(walked));
    assert.ok(
      Object.values(walked).every((times) => times > 0),
      JSON.stringify(walked),
    );
    // Only those whose loss took away the packet that the close was to wait for.
    assert.ok(walked.inTheMiddle > all.length * 0.7, JSON.stringify(walked));
    proof.held(t, { 'under way': walked.inTheMiddle });
  });

  it('that asks while our FIN is on its way is late, and not reset, whatever is lost', async (t) => {
    const all = await runAll(
      scenery,
      [undefined, ...losses].map((lost) => ({ how: 'graceful', closeBefore: 'idle', lost })),
    );
    for (const { interleaving, result } of all) {
      checkGraceful(interleaving, result);
      assert.deepEqual(result.processed, ['/1'], inWords(interleaving, result));
      assert.equal(result.sent, 2, inWords(interleaving, result));
    }
    assert.equal(all[0]?.result.report?.connections.lateRequests, 1);
    const late = all.filter(({ result }) => result.report?.connections.lateRequests === 1).length;
    t.diagnostic(`${late} of ${all.length} counted as late`);
    proof.held(t, { 'crossing our FIN': all.length });
  });

  it('control: with a plain close and exit is reset, or gets half an answer, at some places', async (t) => {
    const all = await runAll(scenery, pairs('plain'));
    const lost = all.filter(({ result }) => isLost(result)).length;
    t.diagnostic(`${lost} of ${all.length} lost`);
    proof.lost(t, lost);
  });
});

function checkGraceful(interleaving: Interleaving, result: Interleaved): void {
  const words = inWords(interleaving, result);
  const { connected, ended, processed, received, report, sent } = result;
  const late = report?.connections.lateRequests ?? 0;
  assert.equal(report?.outcome, 'complete', words);
  assert.equal(ended, connected ? 'EOF' : 'ECONNREFUSED', words);
  // Whatever the program has seen was answered as a whole, and nothing else.
  assert.equal(countAnswers(received), processed.length, words);
  assert.deepEqual(processed, ['/1', '/2'].slice(0, processed.length), words);
  assert.ok(processed.length + late <= sent, words);
  if (connected) assert.ok(processed.length >= 1, words);
}

/** A client that had connected and was not served to the end, without a word that this would be so. */
function isLost({ connected, ended, received, sent }: Interleaved): boolean {
  if (!connected) return false;
  return ended !== 'EOF' || countAnswers(received) !== sent;
}

/** Runs some at a time. */
async function runAll(
  scenery: Scenery,
  interleavings: readonly Interleaving[],
): Promise<{ interleaving: Interleaving; result: Interleaved }[]> {
  const left = [...interleavings];
  const all: { interleaving: Interleaving; result: Interleaved }[] = [];
  const runSome = async (): Promise<void> => {
    for (let interleaving = left.shift(); interleaving !== undefined; interleaving = left.shift()) {
      all.push({ interleaving, result: await interleave(scenery, interleaving) });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, runSome));
  // In the order asked for.
  return all.toSorted((a, b) => interleavings.indexOf(a.interleaving) - interleavings.indexOf(b.interleaving));
}

/** The packets of a run that nothing disturbs: until both answers are there, and with the end of the connection after it. */
async function record({ lab, client, servers }: Scenery): Promise<{ toAnswers: Place[]; toEnd: Place[] }> {
  const port = await servers.listen();
  const localPort = nextLocalPort();
  const rules = await Promise.all(
    DIRECTIONS.map((direction) =>
      lab.wire.rule({ direction, packet: 'any', clientPort: localPort, count: Infinity, action: 'report' }),
    ),
  );
  const places = async (): Promise<Place[]> => {
    // What the wire has told by then is all that had arrived.
    await lab.wire.stats();
    return DIRECTIONS.flatMap((direction, index) =>
      Array.from({ length: rules[index]?.acted ?? 0 }, (_, before) => ({ direction, nth: before + 1 })),
    );
  };
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const connection = client.connect({ host: lab.server.ipv4, port, localPort, halfOpen: true, send: get('/1') });
  await connection.receives(endOf('/1'));
  connection.send(get('/2'));
  await connection.receives(endOf('/2'));
  const toAnswers = await places();
  await servers.beginClose(port, 'graceful', { gate: 'own', idleWait: 100, lingerWait: 2_000 });
  await connection.eof;
  connection.end();
  await servers.report(port);
  const toEnd = await places();
  await servers.forget(port);
  await Promise.all(rules.map((rule) => rule.remove()));
  return { toAnswers, toEnd };
}

function inWords(interleaving: Interleaving, { received, ...result }: Interleaved): string {
  return JSON.stringify({ ...interleaving, answers: countAnswers(received) ?? received, ...result });
}
