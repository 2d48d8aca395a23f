import assert from 'node:assert/strict';
import type http from 'node:http';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listenHttp } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';

const OPTIONS: CloseOptions = { idleWait: 150, lingerWait: 500, deadline: 10_000 };
// Long after the close would have ended an event stream that it ends.
const LONG = 600;

describe('a call of a tool over MCP, which is answered with an event stream', { timeout: 60_000 }, () => {
  const proof = prove('the result of a tool over MCP, while its server closes');

  it('gets its result, while the stream on which the client listens is ended', async (t) => {
    await using scope = new Scope();
    const { server, tool, call } = await callTool(scope);
    const closing = gracefulClose(server, OPTIONS);
    // Time is what is tested.
    await wait(LONG);
    tool.finish();
    assert.deepEqual(await within('the result', call), [{ type: 'text', text: 'worked' }]);
    const { outcome, connections } = await closing;
    assert.deepEqual({ outcome, eventStreams: connections.eventStreams }, { outcome: 'complete', eventStreams: 1 });
    proof.held(t, { 'under way': 1 });
  });

  it("control: gets none with `eventStreams: 'all'`", async (t) => {
    await using scope = new Scope();
    const { server, tool, call } = await callTool(scope);
    let isAnswered = false;
    call.then(() => (isAnswered = true)).catch(() => {});
    const { connections } = await gracefulClose(server, { ...OPTIONS, eventStreams: 'all' });
    tool.finish();
    assert.deepEqual({ isAnswered, eventStreams: connections.eventStreams }, { isAnswered: false, eventStreams: 2 });
    proof.lost(t, 1);
  });
});

/** A client that listens for events, and whose call of a tool is under way until the test finishes it. */
async function callTool(
  scope: Scope,
): Promise<{ server: http.Server; tool: { finish: () => void }; call: Promise<unknown> }> {
  const tool = { isCalled: false, finish: (): void => {} };
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: () => 'session' });
  const mcp = new McpServer({ name: 'server', version: '1' });
  mcp.registerTool('work', { description: 'works' }, async () => {
    tool.isCalled = true;
    await new Promise<void>((resolve) => (tool.finish = resolve));
    return { content: [{ type: 'text', text: 'worked' }] };
  });
  await mcp.connect(transport);
  let listening = 0;
  const server = scope.use(
    await listenHttp((request, response) => {
      if (request.method === 'GET') listening += 1;
      void transport.handleRequest(request, response);
    }),
  );
  const client = new Client({ name: 'client', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${portOf(server)}/mcp`)));
  scope.defer(() => client.close());
  await until('the client listens', () => listening === 1);
  const call = client.callTool({ name: 'work', arguments: {} }).then(({ content }) => content);
  call.catch(() => {});
  await until('the tool is called', () => tool.isCalled);
  return { server, tool, call };
}
