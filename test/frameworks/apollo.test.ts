import assert from 'node:assert/strict';
import type http from 'node:http';
import { suite, test } from 'node:test';
import { startExample } from './example.ts';
import { endOf } from './suite.ts';
import { beginRequest, stopInStorm } from './traffic.ts';

const CLIENTS = 100;
const NAME = 'apollo';

suite('examples/apollo, told to stop', () => {
  test('loses none of its keep-alive clients', async (t) => {
    const example = await startExample(t, NAME, 'graceful');
    const [result, report] = await Promise.all([stopInStorm(t, example, CLIENTS, HELLO), endOf(t, example)]);
    const { lost, counts } = result;
    assert.deepEqual([lost, counts.serverErrors, counts.failed, counts.aborted], [0, 0, 0, 0], JSON.stringify(result));
    const { atStart, fromQueues } = report.connections;
    assert.ok(atStart + fromQueues >= CLIENTS, `${atStart} connections, and ${fromQueues} from the queue`);
    t.diagnostic(`${counts.served} served on ${atStart + fromQueues} connections, 0 lost`);
  });

  test('control: its own stop alone loses keep-alive clients', async (t) => {
    const { lost, counts } = await stopInStorm(t, await startExample(t, NAME, 'plain'), CLIENTS, HELLO);
    assert.ok(lost + counts.serverErrors > 0, JSON.stringify(counts));
    t.diagnostic(`${lost} lost, ${counts.serverErrors} answered 5xx`);
  });

  test('finishes a slow query that was under way, and says that it is the last', async (t) => {
    const example = await startExample(t, NAME, 'graceful');
    const asked = example.hears('asked');
    const body = JSON.stringify({ query: '{ slow }' });
    const { request, answer } = beginRequest(t, example, post(body));
    request.end(body);
    await asked;
    const end = endOf(t, example);
    example.stop();
    assert.deepEqual(await answer, { status: 200, connection: 'close', body: '{"data":{"slow":"done"}}\n' });
    assert.equal((await end).connections.atStart, 1);
  });

  test('answers a mutation whose body was under way', async (t) => {
    const example = await startExample(t, NAME, 'graceful');
    const items = Array.from({ length: 1_000 }, (_, index) => index);
    const body = JSON.stringify({ query: 'mutation ($items: [Int!]!) { order(items: $items) }', variables: { items } });
    const asked = example.hears('asked');
    const { request, answer } = beginRequest(t, example, post(body));
    request.write(body.slice(0, 1_000));
    await asked;
    const [gate, end] = [example.hears('gate'), endOf(t, example)];
    example.stop();
    await gate;
    request.end(body.slice(1_000));
    assert.deepEqual(await answer, { status: 200, connection: 'close', body: '{"data":{"order":1000}}\n' });
    assert.equal((await end).connections.atStart, 1);
  });
});

/** The query that all ask, on kept connections. */
const HELLO = Buffer.from(
  [
    'GET /?query=%7Bhello%7D HTTP/1.1',
    'Host: example',
    // Apollo's proof that no page of another site has sent it.
    'Apollo-Require-Preflight: true',
    '\r\n',
  ].join('\r\n'),
);

/** The observer tells of every path but /. */
function post(body: string): http.RequestOptions {
  const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
  return { path: '/graphql', method: 'POST', headers };
}
