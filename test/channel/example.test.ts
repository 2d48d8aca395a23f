import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readTcpTable } from '../../src/linux/proc-net.ts';
import { startCommand, type TestProcess } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { until, within } from '../harness/wait.ts';

const ESTABLISHED = 1; // net/tcp_states.h

const proof = prove('additions that a server of examples/channel has not read');

describe('examples/channel', { timeout: 300_000 }, () => {
  it('adds each addition once, though its server is restarted while it adds', async (t) => {
    await using first = startProgram('server', '0');
    const port = await portOf(first);
    await using adding = startProgram('client', port);
    const unread = await holdWhileAsked(first, port, adding);
    const stopped = stop(first);
    first.goOn();
    const totals = [await stopped];
    await using second = startProgram('server', port);
    await portOf(second);
    const { code, stdout, stderr } = await within('the end of the additions', adding.ended);
    assert.equal(code, 0, stderr);
    totals.push(await stop(second));
    assert.match(stdout, /^added 1000$/m);
    assert.equal(totals[0]! + totals[1]!, 1_000);
    assert.ok(totals[1]! > 0, 'it had ended before the restart');
    proof.held(t, { 'unread bytes': unread });
    t.diagnostic(totals.join(' and '));
  });

  it('loses sight of an addition where its server is killed (control)', async (t) => {
    await using server = startProgram('server', '0');
    const port = await portOf(server);
    await using adding = startProgram('client', port);
    await holdWhileAsked(server, port, adding);
    server.signal('SIGKILL');
    const { code, stderr } = await within('the end of the additions', adding.ended);
    assert.equal(code, 1);
    assert.match(stderr, /ERR_OUTCOME_UNKNOWN/);
    proof.lost(t, 1);
  });
});

function startProgram(name: 'server' | 'client', port: string): TestProcess {
  const file = fileURLToPath(new URL(`../../../examples/channel/${name}.js`, import.meta.url));
  return startCommand([process.execPath, file], { env: { PORT: port } });
}

/** Stops a server in the middle of the additions, until it has some to read; how many bytes they are. */
async function holdWhileAsked(server: TestProcess, port: string, adding: TestProcess): Promise<number> {
  await adding.prints(/^added 100$/m);
  await server.hold();
  const unread = (): number =>
    readTcpTable('IPv4').find((row) => row.state === ESTABLISHED && row.localPort === Number(port))?.receiveQueue ?? 0;
  await until('the server has additions to read', () => unread() > 0);
  return unread();
}

/** The port at which it says that it listens. */
async function portOf(server: TestProcess): Promise<string> {
  const [, port = ''] = await server.prints(/^listening on (\d+)$/m);
  return port;
}

/** Stops it by SIGTERM; resolves with its total when it has ended by itself. */
async function stop(server: TestProcess): Promise<number> {
  server.signal('SIGTERM');
  const { code, stdout, stderr } = await within('the end of the server', server.ended);
  assert.equal(code, 0, stderr);
  const [, closed = ''] = stdout.match(/^closed (.*)$/m) ?? [];
  return Number(JSON.parse(closed).total);
}
