import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import type { CloseReport } from '../../src/index.ts';
import { type RunningExample, startExample } from './example.ts';
import { beginRequest, stopInStorm, stopWithQueue } from './traffic.ts';

const CLIENTS = 100;
const MEGABYTE = 1_048_576;
/** The program has ended so many milliseconds after its report. */
const SOON = 1_000;

/** What each framework must stand, with the application that examples/<name> shows. */
export function closesWell(name: string): void {
  suite(`examples/${name}, told to stop`, () => {
    test('loses none of its keep-alive clients', async (t) => {
      const example = await startExample(t, name, 'graceful');
      const [result, report] = await Promise.all([stopInStorm(t, example, CLIENTS), endOf(t, example)]);
      const { lost, counts } = result;
      assert.deepEqual(
        [lost, counts.serverErrors, counts.failed, counts.aborted],
        [0, 0, 0, 0],
        JSON.stringify(result),
      );
      const { atStart, fromQueues } = report.connections;
      assert.ok(atStart + fromQueues >= CLIENTS, `${atStart} connections, and ${fromQueues} from the queue`);
      t.diagnostic(`${counts.served} served on ${atStart + fromQueues} connections, 0 lost`);
    });

    test('control: its own plain close loses keep-alive clients', async (t) => {
      const { lost, counts } = await stopInStorm(t, await startExample(t, name, 'plain'), CLIENTS);
      assert.ok(lost + counts.serverErrors > 0, JSON.stringify(counts));
      t.diagnostic(`${lost} lost, ${counts.serverErrors} answered 5xx`);
    });

    test('serves the clients in its accept queue', async (t) => {
      const example = await startExample(t, name, 'graceful');
      const [answers, report] = await Promise.all([stopWithQueue(example, CLIENTS), endOf(t, example)]);
      assert.deepEqual(new Set(answers), new Set(['HTTP/1.1 200 OK']));
      const queued = report.listeners.reduce((sum, listener) => sum + listener.queued, 0);
      assert.ok(queued >= CLIENTS / 2, `the queue held ${queued} when the gate shut`);
      t.diagnostic(`${queued} queued, 0 lost`);
    });

    test('control: its own plain close resets the clients in its accept queue', async (t) => {
      const answers = await stopWithQueue(await startExample(t, name, 'plain'), CLIENTS);
      const reset = answers.filter((answer) => answer === 'ECONNRESET').length;
      assert.ok(reset >= CLIENTS / 2, `${reset} were reset`);
      t.diagnostic(`${reset} of ${CLIENTS} reset`);
    });

    test('finishes a slow response that was under way, and says that it is the last', async (t) => {
      const example = await startExample(t, name, 'graceful');
      const asked = example.hears('asked');
      const { request, answer } = beginRequest(t, example, { path: '/slow' });
      request.end();
      await asked;
      const end = endOf(t, example);
      example.stop();
      assert.deepEqual(await answer, { status: 200, connection: 'close', body: 'done\n' });
      assert.equal((await end).connections.atStart, 1);
    });

    test('answers a POST whose body was under way', async (t) => {
      const example = await startExample(t, name, 'graceful');
      const body = JSON.stringify(Array.from({ length: 10_000 }, (_, index) => index));
      const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length };
      const asked = example.hears('asked');
      const { request, answer } = beginRequest(t, example, { path: '/orders', method: 'POST', headers });
      request.write(body.slice(0, 1_000));
      await asked;
      const [gate, end] = [example.hears('gate'), endOf(t, example)];
      example.stop();
      await gate;
      request.end(body.slice(1_000));
      const { status = 0, ...rest } = await answer;
      assert.deepEqual(rest, { connection: 'close', body: '{"accepted":10000}' });
      assert.ok(status === 200 || status === 201, `${status}`);
      assert.equal((await end).connections.atStart, 1);
    });

    test('delivers a streamed megabyte whole', async (t) => {
      const example = await startExample(t, name, 'graceful');
      const { request, head, answer } = beginRequest(t, example, { path: '/export' });
      request.end();
      const response = await head;
      const [gate, end] = [example.hears('gate'), endOf(t, example)];
      example.stop();
      await gate;
      assert.equal(response.complete, false, 'the response was under way when the gate shut');
      const { body } = await answer;
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

/** The report, complete and without a connection unaccounted for; and the program has ended by itself soon after it. */
export async function endOf(t: TestContext, example: RunningExample): Promise<CloseReport> {
  const report = await example.hears('report');
  const reported = performance.now();
  assert.equal(await example.ended, 0);
  const after = performance.now() - reported;
  assert.ok(after < SOON, `ended ${after} ms after its report`);
  const { atStart, fromQueues, ended, lateRequests, cut } = report.connections;
  assert.deepEqual([report.outcome, cut, report.errors, lateRequests], ['complete', [], [], 0]);
  assert.equal(atStart + fromQueues, ended + cut.length);
  for (const { gate, reason, abandoned } of report.listeners) {
    assert.deepEqual([gate, reason, abandoned], ['refuse', undefined, 0]);
  }
  t.diagnostic(`closed in ${Math.round(report.duration)} ms, ended ${Math.round(after)} ms after the report`);
  return report;
}
