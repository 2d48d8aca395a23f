import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readTcpTable } from '../../src/linux/tables/proc-net.ts';
import { type ExampleProcess, startExample } from '../connection/example-process.ts';
import { startCommand, type TestProcess } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { until, within } from '../harness/wait.ts';

const ESTABLISHED = 1; // net/tcp_states.h

const proof = prove('additions that a server of examples/channel has not read');

describe('examples/channel', { timeout: 300_000 }, () => {
  it('makes each addition once, although its server restarts in the middle', async (t) => {
    await using first = startExample('channel');
    const port = await first.port;
    await using adding = startClient(port);
    const unread = await holdWhileAsked(first, port, adding);
    const closed = first.close();
    first.goOn();
    const totals = [Number((await closed).total)];
    await using second = startExample('channel', { PORT: String(port) });
    await second.port;
    const { code, stdout, stderr } = await within('the end of the additions', adding.ended);
    assert.equal(code, 0, stderr);
    totals.push(Number((await second.close()).total));
    assert.match(stdout, /^added 1000$/m);
    assert.equal(totals[0]! + totals[1]!, 1_000);
    assert.ok(totals[1]! > 0, 'it had ended before the restart');
    proof.held(t, { 'unread bytes': unread });
    t.diagnostic(totals.join(' and '));
  });

  it('leaves the outcome of an addition unknown when its server is killed (control)', async (t) => {
    await using server = startExample('channel');
    const port = await server.port;
    await using adding = startClient(port);
    await holdWhileAsked(server, port, adding);
    server.kill();
    const { code, stderr } = await within('the end of the additions', adding.ended);
    assert.equal(code, 1);
    assert.match(stderr, /ERR_OUTCOME_UNKNOWN/);
    proof.lost(t, 1);
  });
});

/** Starts its client as a user does. */
function startClient(port: number): TestProcess {
  const file = fileURLToPath(new URL('../../../examples/channel/client.js', import.meta.url));
  return startCommand([process.execPath, file], { env: { PORT: String(port) } });
}

/** Stops a server in the middle of the additions until some wait to be read. Resolves with their bytes. */
async function holdWhileAsked(server: ExampleProcess, port: number, adding: TestProcess): Promise<number> {
  await adding.prints(/^added 100$/m);
  await server.hold();
  const unread = (): number =>
    readTcpTable('IPv4').find((row) => row.state === ESTABLISHED && row.localPort === port)?.receiveQueue ?? 0;
  await until('the server has additions to read', () => unread() > 0);
  return unread();
}
