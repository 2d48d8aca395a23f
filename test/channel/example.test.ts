import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ExampleProcess } from '../connection/example-process.ts';

const client = fileURLToPath(new URL('../../../examples/channel/client.js', import.meta.url));

describe('examples/channel', { timeout: 60_000 }, () => {
  it('adds each addition once, though its server is restarted while it adds', async (t) => {
    const first = new ExampleProcess(t, 'channel');
    const port = await first.port;
    const adding = spawn(process.execPath, [client], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, PORT: String(port) },
    });
    t.after(() => adding.kill('SIGKILL'));
    const exited = once(adding, 'exit');
    let said = '';
    adding.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await once(adding.stdout, 'data');
    const totals = [(await first.close()).total];
    const second = new ExampleProcess(t, 'channel', { PORT: String(port) });
    await second.port;
    assert.deepEqual(await exited, [0, null]);
    totals.push((await second.close()).total);
    assert.match(said, /^added 1000$/m);
    assert.equal(Number(totals[0]) + Number(totals[1]), 1_000);
    assert.ok(Number(totals[1]) > 0, 'it had ended before the restart');
    t.diagnostic(totals.join(' and '));
  });
});
