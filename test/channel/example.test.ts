import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startCommand, type TestProcess } from '../harness/processes.ts';
import { within } from '../harness/wait.ts';

const program = (name: string): string =>
  fileURLToPath(new URL(`../../../examples/channel/${name}.js`, import.meta.url));

describe('examples/channel', { timeout: 300_000 }, () => {
  it('adds each addition once, though its server is restarted while it adds', async (t) => {
    await using first = startCommand([process.execPath, program('server')], { env: { PORT: '0' } });
    const port = await portOf(first);
    await using adding = startCommand([process.execPath, program('client')], { env: { PORT: port } });
    await adding.prints(/./);
    // It stands still while the server goes: it cannot be done before.
    await adding.hold();
    const stopped = stop(first);
    adding.goOn();
    const totals = [await stopped];
    await using second = startCommand([process.execPath, program('server')], { env: { PORT: port } });
    await portOf(second);
    const { code, stdout, stderr } = await within('the end of the additions', adding.ended);
    assert.equal(code, 0, stderr);
    totals.push(await stop(second));
    assert.match(stdout, /^added 1000$/m);
    assert.equal(totals[0]! + totals[1]!, 1_000);
    assert.ok(totals[1]! > 0, 'it had ended before the restart');
    t.diagnostic(totals.join(' and '));
  });
});

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
