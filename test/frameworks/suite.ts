import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import type { CloseReport } from '../../src/index.ts';
import { prove } from '../harness/proof.ts';
import { type RunningExample, startExample } from './example-driver.ts';
import { type StoppedWhileAsked, stopWhileAsked, stopWithQueue, UnfinishedRequest } from './traffic.ts';

const CLIENTS = 100;
/** In the accept queue. Node accepts one a turn of its loop, and each turn waits for its time on a busy machine: its deadline is 9 s. */
const QUEUED = 50;
const MEGABYTE = 1_048_576;
/** The program has ended so many milliseconds after its report, on any machine. What it left open would keep it for 5 s. */
const SOON = 3_000;

/** What each framework must stand, with the application that examples/<name> shows. */
export function closesWell(name: string): void {
  // Two at a time: each starts a program, and some wait for it.
  suite(`examples/${name}, told to stop`, { concurrency: 2 }, () => {
    losesNoKeepAliveClients(name, undefined);

    const ofQueue = prove(`the clients in the accept queue of examples/${name}`);

    test('serves the clients in its accept queue', async (t) => {
      await using example = await startExample(name, { how: 'graceful' });
      const [answers, report] = await Promise.all([stopWithQueue(example, QUEUED), endOf(t, example)]);
      assert.deepEqual(new Set(answers), new Set(['HTTP/1.1 200 OK']));
      const queued = report.listeners.reduce((sum, listener) => sum + listener.queued, 0);
      assert.ok(queued >= QUEUED / 2, `the queue held ${queued} when the gate shut`);
      t.diagnostic(`${queued} queued, 0 lost`);
      ofQueue.held(t, { queued });
    });

    test('control: its own plain close resets the clients in its accept queue', async (t) => {
      await using example = await startExample(name, { how: 'plain' });
      const answers = await stopWithQueue(example, QUEUED);
      const reset = answers.filter((answer) => answer === 'ECONNRESET').length;
      assert.ok(reset >= QUEUED / 2, `${reset} were reset`);
      t.diagnostic(`${reset} of ${QUEUED} reset`);
      ofQueue.lost(t, reset);
    });

    test('finishes a slow response that was under way, and says that it is the last', async (t) => {
      await using example = await startExample(name, { how: 'graceful' });
      using slow = new UnfinishedRequest(example.port, { path: '/slow' });
      slow.request.end();
      await example.next('asked');
      const end = endOf(t, example);
      example.stop();
      assert.deepEqual(await slow.answer(), { status: 200, connection: 'close', body: 'done\n' });
      assert.equal((await end).connections.atStart, 1);
    });

    test('answers a POST whose body was under way', async (t) => {
      await using example = await startExample(name, { how: 'graceful' });
      const body = JSON.stringify(Array.from({ length: 10_000 }, (_, index) => index));
      const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length };
      using post = new UnfinishedRequest(example.port, { path: '/orders', method: 'POST', headers });
      post.request.write(body.slice(0, 1_000));
      await example.next('asked');
      const end = endOf(t, example);
      example.stop();
      await example.next('gate');
      post.request.end(body.slice(1_000));
      const { status = 0, ...rest } = await post.answer();
      assert.deepEqual(rest, { connection: 'close', body: '{"accepted":10000}' });
      assert.ok(status === 200 || status === 201, `${status}`);
      assert.equal((await end).connections.atStart, 1);
    });

    test('delivers a streamed megabyte whole', async (t) => {
      await using example = await startExample(name, { how: 'graceful' });
      using download = new UnfinishedRequest(example.port, { path: '/export' });
      download.request.end();
      const response = await download.head;
      const end = endOf(t, example);
      example.stop();
      await example.next('gate');
      assert.equal(response.complete, false, 'the response was under way when the gate shut');
      const { body } = await download.answer();
      assert.equal(body.length, MEGABYTE);
      const rows = body.trimEnd().split('\n').map(Number);
      assert.deepEqual(
        rows,
        rows.map((_, index) => index),
      );
      assert.equal((await end).connections.atStart, 1);
    });
  });
}

/** The promise of each framework to clients that ask again and again, and its control. `request`: what they ask, if it is not GET /. */
export function losesNoKeepAliveClients(name: string, request: Uint8Array | undefined): void {
  const proof = prove(`keep-alive clients of examples/${name} whose requests come while it stops`);

  test('loses none of its keep-alive clients', async (t) => {
    await using example = await startExample(name, { how: 'graceful', standsStill: true });
    const [result, report] = await Promise.all([stopWhileAsked(example, CLIENTS, request), endOf(t, example)]);
    assertNobodyLost(result);
    const { atStart, fromQueues } = report.connections;
    assert.ok(atStart + fromQueues >= CLIENTS, `${atStart} connections, and ${fromQueues} from the queue`);
    t.diagnostic(`${result.counts.served} served on ${atStart + fromQueues} connections, 0 lost`);
    proof.held(t, { unread: result.unread });
  });

  test('control: its own plain close loses keep-alive clients', async (t) => {
    await using example = await startExample(name, { how: 'plain', standsStill: true });
    const { lost, counts } = await stopWhileAsked(example, CLIENTS, request);
    assert.ok(lost + counts.serverErrors > 0, JSON.stringify(counts));
    t.diagnostic(`${lost} lost, ${counts.serverErrors} answered 5xx`);
    proof.lost(t, lost + counts.serverErrors);
  });
}

/** Each request that was begun was answered well, and each client was refused in the end. */
export function assertNobodyLost({ lost, counts }: Pick<StoppedWhileAsked, 'lost' | 'counts'>): void {
  const { serverErrors, failed, aborted } = counts;
  assert.deepEqual(
    { lost, serverErrors, failed, aborted },
    { lost: 0, serverErrors: 0, failed: 0, aborted: 0 },
    JSON.stringify(counts),
  );
}

/** The report, complete and without a connection unaccounted for; and the program has ended by itself soon after it. */
export async function endOf(t: TestContext, example: RunningExample): Promise<CloseReport> {
  const report = await example.next('report');
  const reported = performance.now();
  assert.equal(await example.ended, 0);
  const after = performance.now() - reported;
  assert.ok(after < SOON, `ended ${after} ms after its report`);
  const { outcome, errors, connections } = report;
  const { atStart, fromQueues, ended, lateRequests, cut } = connections;
  assert.deepEqual(
    { outcome, cut, errors, lateRequests },
    { outcome: 'complete', cut: [], errors: [], lateRequests: 0 },
  );
  assert.equal(atStart + fromQueues, ended + cut.length);
  for (const { gate, reason, abandoned } of report.listeners) {
    assert.deepEqual({ gate, reason, abandoned }, { gate: 'refuse', reason: undefined, abandoned: 0 });
  }
  t.diagnostic(`closed in ${Math.round(report.duration)} ms, ended ${Math.round(after)} ms after the report`);
  return report;
}
