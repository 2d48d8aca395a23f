import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import type { Program } from '../harness/observed-program.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { ENDED_WELL, startService } from '../harness/start-service.ts';
import { within } from '../harness/wait.ts';
import { askOnce } from '../lifecycle/one-request.ts';

const HELD = ['register', 'holdListeners'] as const;
/** How lastcall comes to an application, and whether it holds the listeners of others. */
type How = (typeof HELD)[number] | 'lastCall';

const OPEN_TELEMETRY = fileURLToPath(
  new URL(
    '../../../scripts/framework-commands/node_modules/@opentelemetry/auto-instrumentations-node/build/src/register.js',
    import.meta.url,
  ),
);

suite('OpenTelemetry, whose listener of SIGTERM sends the last spans and does not exit', {
  skip: existsSync(OPEN_TELEMETRY) ? false : 'needs npm run framework-commands',
}, () => {
  const proof = prove('the span of a request that ends in the drain');

  for (const how of HELD) {
    test(`has sent them when the process exits, with ${how}`, async (t) => {
      const { spans, program } = await stopTraced(how);
      assert.deepEqual(program, ENDED_WELL);
      assert.ok(spans.some((body) => body.includes('/under-way')));
      proof.held(t, { spans: spans.length });
    });
  }

  test('control: has not with lastCall alone, which names the listener', async (t) => {
    const { spans, program } = await stopTraced('lastCall');
    assert.match(program.stderr, /own listeners of SIGTERM, and may cut what they do: `shutdown`/);
    assert.deepEqual(spans, []);
    proof.lost(t, 1);
  });
});

suite('Hocuspocus, whose listener of SIGTERM stores documents and exits', () => {
  const proof = prove('an edit of a document that is not stored yet');

  for (const how of HELD) {
    test(`has stored them when the process exits, with ${how}`, async (t) => {
      await using scope = new Scope();
      const program = await startEdited(how, scope);
      process.kill(program.pid, 'SIGTERM');
      await program.next('stores');
      await program.next('report');
      process.kill(program.pid, 'SIGUSR2');
      assert.deepEqual(await program.ended, ENDED_WELL);
      assert.ok(tellsOf(program).includes('stored'));
      proof.held(t, { edits: 1 });
    });
  }

  test('control: has not with lastCall alone; the report and stderr name the listener', async (t) => {
    await using scope = new Scope();
    const program = await startEdited('lastCall', scope);
    process.kill(program.pid, 'SIGTERM');
    const { report } = await program.next('report');
    assert.equal(report?.outcome, 'forced');
    assert.match(report.doubts.join(), /`signalHandler` \(@hocuspocus\/server\)/);
    const { code, stderr } = await program.ended;
    assert.equal(code, 0);
    assert.match(stderr, /`signalHandler` \(@hocuspocus\/server\)/);
    assert.ok(!tellsOf(program).includes('stored'));
    proof.lost(t, 1);
  });
});

suite('Apollo, whose listener of SIGTERM stops its plugins and raises the signal again', () => {
  const proof = prove('what a plugin of Apollo flushes when it stops');

  for (const how of HELD) {
    test(`has stopped them when it dies of the signal, with ${how}`, async (t) => {
      await using program = await startApollo(how);
      await program.next('flushes');
      await program.next('report');
      process.kill(program.pid, 'SIGUSR2');
      assert.deepEqual(await program.ended, { code: null, signal: 'SIGTERM', stderr: '' });
      assert.ok(tellsOf(program).includes('flushed'));
      proof.held(t, { flushes: 1 });
    });
  }

  test('control: has not with lastCall alone, which names the listener', async (t) => {
    await using program = await startApollo('lastCall');
    const { code, stderr } = await program.ended;
    assert.equal(code, 0);
    assert.match(stderr, /may cut what they do: .* \(@apollo\/server\)/);
    assert.ok(!tellsOf(program).includes('flushed'));
    proof.lost(t, 1);
  });
});

/** Stops the application while a request is under way. Returns what the collector has got. */
async function stopTraced(how: How): Promise<{ spans: readonly string[]; program: typeof ENDED_WELL }> {
  const spans: string[] = [];
  await using collector = http.createServer((request, response) => {
    void text(request).then((body) => {
      spans.push(body);
      response.setHeader('content-type', 'application/json');
      response.end('{}');
    });
  });
  await once(collector.listen(0, '127.0.0.1'), 'listening');
  await using program = startService('register/otel-app', {
    registration: how === 'register' ? '--import' : 'none',
    args: [how],
    env: {
      NODE_OPTIONS: `--require ${OPEN_TELEMETRY}`,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${portOf(collector)}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_LOGS_EXPORTER: 'none',
      OTEL_NODE_RESOURCE_DETECTORS: 'none',
      OTEL_NODE_ENABLED_INSTRUMENTATIONS: 'http',
      // Nothing is sent before the end.
      OTEL_BSP_SCHEDULE_DELAY: '600000',
    },
  });
  const { port = 0 } = await program.next('listening');
  using client = askOnce({ port, host: '127.0.0.1' }, { path: '/under-way' });
  await program.next('asked');
  process.kill(program.pid, 'SIGTERM');
  await program.next('gate');
  process.kill(program.pid, 'SIGUSR2');
  assert.match(await client.answer, /200 OK/);
  return { program: await program.ended, spans };
}

/** Resolves when the server has an edit that it has not stored. */
async function startEdited(how: How, scope: Scope): Promise<Program> {
  const program = scope.use(startPackage('register/hocuspocus-app', how));
  const { port = 0 } = await program.next('listening');
  const websocketProvider = new HocuspocusProviderWebsocket({
    url: `ws://127.0.0.1:${port}`,
    WebSocketPolyfill: WebSocket,
    maxAttempts: 1,
  });
  const document = new Y.Doc();
  const provider = new HocuspocusProvider({ websocketProvider, name: 'letter', document, token: 'x' });
  scope.defer(() => {
    provider.destroy();
    websocketProvider.destroy();
  });
  await within('the synced document', new Promise((resolve) => provider.on('synced', resolve)));
  document.getText('body').insert(0, 'edited');
  await program.next('changed');
  // The server ends the connection now, and the client must not come again.
  websocketProvider.shouldConnect = false;
  return program;
}

async function startApollo(how: How): Promise<Program> {
  const program = startPackage('register/apollo-app', how);
  const { port = 0 } = await program.next('listening');
  assert.match(await askOnce({ port, host: '127.0.0.1' }).answer, /^HTTP/);
  process.kill(program.pid, 'SIGTERM');
  return program;
}

function startPackage(name: string, how: How): Program {
  return startService(name, how === 'register' ? { registration: '--import' } : { args: [how] });
}

function tellsOf({ history }: Program): readonly string[] {
  return history.map(({ tell }) => tell);
}
