import assert from 'node:assert/strict';
import type http from 'node:http';
import { suite, test } from 'node:test';
import { startExample } from './example-driver.ts';
import { endOf, losesNoKeepAliveClients } from './suite.ts';
import { UnfinishedRequest } from './traffic.ts';

const NAME = 'apollo';

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

suite('examples/apollo, told to stop', () => {
  losesNoKeepAliveClients(NAME, HELLO);

  test('finishes a slow query that was under way, and says that it is the last', async (t) => {
    await using example = await startExample(NAME, { how: 'graceful' });
    const body = JSON.stringify({ query: '{ slow }' });
    using slow = new UnfinishedRequest(example.port, post(body));
    slow.request.end(body);
    await example.next('asked');
    const end = endOf(t, example);
    example.stop();
    assert.deepEqual(await slow.answer(), { status: 200, connection: 'close', body: '{"data":{"slow":"done"}}\n' });
    assert.equal((await end).connections.atStart, 1);
  });

  test('answers a mutation whose body was under way', async (t) => {
    await using example = await startExample(NAME, { how: 'graceful' });
    const items = Array.from({ length: 1_000 }, (_, index) => index);
    const body = JSON.stringify({ query: 'mutation ($items: [Int!]!) { order(items: $items) }', variables: { items } });
    using mutation = new UnfinishedRequest(example.port, post(body));
    mutation.request.write(body.slice(0, 1_000));
    await example.next('asked');
    const end = endOf(t, example);
    example.stop();
    await example.next('gate');
    mutation.request.end(body.slice(1_000));
    assert.deepEqual(await mutation.answer(), { status: 200, connection: 'close', body: '{"data":{"order":1000}}\n' });
    assert.equal((await end).connections.atStart, 1);
  });
});

/** The observer tells of every path but /. */
function post(body: string): http.RequestOptions {
  const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
  return { path: '/graphql', method: 'POST', headers };
}
