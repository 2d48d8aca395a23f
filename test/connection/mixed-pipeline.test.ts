import assert from 'node:assert/strict';
import http from 'node:http';
import type net from 'node:net';
import { describe, it } from 'node:test';
import { type CloseOptions, type CloseReport, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { listenHttp } from '../harness/servers.ts';
import { within } from '../harness/wait.ts';
import { get, RawHttpClient } from './raw-http-client.ts';

const QUICK: CloseOptions = { idleWait: 200, lingerWait: 5_000, deadline: 8_000 };

const UPGRADE = 'GET /lines HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n';
const TUNNEL = 'CONNECT x:7 HTTP/1.1\r\nHost: x:7\r\n\r\n';

/** What comes behind a request in the same chunk, and the status lines of the answers. */
const BEHIND = [
  { what: 'without a Host, which Node answers itself', behind: 'GET /2 HTTP/1.1\r\n\r\n', statuses: [200, 400] },
  {
    what: 'with an expectation that Node refuses itself',
    behind: 'GET /2 HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n',
    statuses: [200, 417],
  },
  { what: 'that is none at all', behind: 'NOTHING\r\n\r\n', statuses: [200] },
] as const;

describe('a request during a close, with another behind it', { timeout: 30_000 }, () => {
  const proof = prove('a request with another behind it in the same chunk, while its server closes');

  for (const { what, behind, statuses } of BEHIND) {
    for (const way of ['closing', 'control: not closing'] as const) {
      it(`${what}, is answered; ${way}`, async (t) => {
        const { report, client } = await askBoth(behind, { stop: way === 'closing' ? 'lastcall' : 'none' });
        assert.deepEqual(statusesOf(client), statuses);
        if (way !== 'closing') return;
        assertComplete(report, { lateRequests: 0 });
        proof.held(t, { answers: statuses.length });
      });
    }
  }

  it('control: is not answered, whatever is behind it, where the server ends at once', async (t) => {
    let lost = 0;
    for (const { behind } of [...BEHIND, { behind: get('/2') }, { behind: UPGRADE }, { behind: TUNNEL }]) {
      const { client } = await askBoth(behind, { stop: 'at once' });
      assert.deepEqual(statusesOf(client), []);
      lost += 1;
    }
    proof.lost(t, lost);
  });

  it('that is one too many for maxRequestsPerSocket, is answered', async (t) => {
    const { report, client } = await askBoth(get('/2'), { stop: 'lastcall', most: 1 });
    assert.deepEqual(statusesOf(client), [200, 503]);
    assertComplete(report, { lateRequests: 0 });
    proof.held(t, { answers: 2 });
  });

  for (const { what, behind } of [
    { what: 'that asks for an upgrade', behind: UPGRADE },
    { what: 'that asks for a tunnel', behind: TUNNEL },
  ]) {
    it(`${what}, has the last answer, and that one is late`, async (t) => {
      const { report, client, changed } = await askBoth(behind, { stop: 'lastcall' });
      assert.deepEqual(statusesOf(client), [200]);
      assert.match(client.text, /^connection: close$/im);
      assertComplete(report, { lateRequests: 1 });
      assert.deepEqual(changed, []);
      proof.held(t, { answers: 1 });
    });

    it(`control: ${what}, both are answered in order without a close`, async () => {
      const { client, changed } = await askBoth(behind, { stop: 'none' });
      assert.equal(statusesOf(client)[0], 200);
      assert.equal(changed.length, 1);
    });
  }
});

function assertComplete(report: CloseReport | undefined, { lateRequests }: { readonly lateRequests: number }): void {
  assert.equal(report?.outcome, 'complete');
  assert.equal(report.connections.lateRequests, lateRequests);
}

/** `at once`: as the end of the process does. */
type Stop = 'lastcall' | 'at once' | 'none';

interface Asked {
  readonly client: RawHttpClient;
  readonly report: CloseReport | undefined;
  /** Connections that have stopped to speak HTTP. */
  readonly changed: readonly net.Socket[];
}

/** Sends a request, and what is to come behind it, in one chunk, and waits for the connection's end. */
async function askBoth(
  behind: string,
  { stop, most = 0 }: { readonly stop: Stop; readonly most?: number },
): Promise<Asked> {
  const changed: net.Socket[] = [];
  await using server = await listenHttp((request, response) => void response.end(request.url));
  server.maxRequestsPerSocket = most;
  // Where nothing else ends the connection Node does, soon.
  server.keepAliveTimeout = stop === 'lastcall' ? 5_000 : 50;
  const change = (_: http.IncomingMessage, socket: net.Socket): void => {
    changed.push(socket);
    socket.end('HTTP/1.1 299 Changed\r\n\r\n');
  };
  server.on('upgrade', change).on('connect', change);
  using client = await RawHttpClient.connect(portOf(server));
  client.endAfterServer();
  const closing = stop === 'lastcall' ? gracefulClose(server, QUICK) : undefined;
  if (stop === 'at once') {
    server.close();
    server.closeAllConnections();
  }
  client.send(get('/1') + behind);
  const ended = await within('the end of the connection', client.ended);
  if (stop !== 'at once') assert.equal(ended, 'EOF');
  return { client, report: await closing, changed };
}

function statusesOf({ text }: RawHttpClient): readonly number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status));
}
