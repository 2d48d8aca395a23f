// Programs that /proc shows in an unusual way: the main thread has ended, or the name has a line's end or parentheses.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readStat } from '../../../src/linux/process/processes.ts';
import { readStatus } from '../../../src/linux/process/status.ts';
import { startLastcall, TO_GATE } from '../../harness/lastcall-command.ts';
import { needsPrograms } from '../../harness/needs.ts';
import { freePort, untilAccepted } from '../../harness/ports.ts';
import { holdProcess, isAlive, startCommand, type TestProcess } from '../../harness/processes.ts';
import { prove } from '../../harness/proof.ts';
import { until } from '../../harness/wait.ts';
import { countUnserved, queueClients, tally } from '../../program/queued-clients.ts';

const PYTHON = '/usr/bin/python3';
const HOST = '127.0.0.1';
const CLIENTS = 10;
const skip = needsPrograms(PYTHON);

const source = (name: string): string =>
  fileURLToPath(new URL(`../../../../test/program/programs/${name}.py`, import.meta.url));

suite('a program whose main thread has ended', { skip }, () => {
  const proof = prove('clients in the queue of a program whose main thread has ended');

  test('counts as running, and is stopped without losing queued clients', async (t) => {
    const target = { port: await freePort(), host: HOST };
    await using running = await startWithoutMainThread(target.port);
    await holdProcess(running.pid);
    using clients = await queueClients(CLIENTS, target);
    await using stopping = startLastcall(['stop', `:${target.port}`, '--json', ...TO_GATE]);
    await untilAccepted(target, false);
    running.goOn();
    assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
    const { code, stdout } = await stopping.ended;
    const { outcome, signalled, listeners } = JSON.parse(stdout);
    const [{ gate, left, queued }] = listeners;
    const seen = { code, outcome, signal: signalled?.signal, gate, left };
    assert.deepEqual(seen, { code: 0, outcome: 'complete', signal: 'SIGTERM', gate: 'refuse', left: 0 });
    proof.held(t, { queued });
  });

  test('is still running at the deadline if it ignores the signal', async () => {
    const port = await freePort();
    await using running = await startWithoutMainThread(port, 'ignores');
    await using stopping = startLastcall(['stop', String(running.pid), '--deadline', '1s', '--json', '--kill']);
    const { code, stdout } = await stopping.ended;
    assert.deepEqual({ code, outcome: JSON.parse(stdout).outcome }, { code: 1, outcome: 'killed' });
    assert.equal((await running.ended).signal, 'SIGKILL');
  });

  test('control: by the signal alone it loses them', async (t) => {
    const target = { port: await freePort(), host: HOST };
    await using running = await startWithoutMainThread(target.port);
    await holdProcess(running.pid);
    using clients = await queueClients(CLIENTS, target);
    running.signal('SIGTERM');
    running.goOn();
    proof.lost(t, countUnserved(await clients.outcomes));
  });
});

async function startWithoutMainThread(port: number, ...more: readonly string[]): Promise<TestProcess> {
  const running = startCommand([PYTHON, source('without_main_thread'), String(port), HOST, ...more]);
  await running.prints(/^ready/m);
  await until('its main thread has ended', () => readStat(running.pid)?.state === 'Z');
  assert.deepEqual(readdirSync(`/proc/${running.pid}/fd`), []);
  return running;
}

// Each waits for the watchdog, which waits for 5 s.
suite('a program with the name', { skip, concurrency: true }, () => {
  for (const name of ['plain', 'a\\nb', 'a) S 1 1\\nb', '\\n) Z 1 (']) {
    test(`${JSON.stringify(name)} is killed by the watchdog if stop --kill is killed`, async () => {
      const target = { port: await freePort(), host: HOST };
      await using running = startCommand([PYTHON, source('named'), String(target.port), HOST, name]);
      await running.prints(/^ready/m);
      assert.equal(readStat(running.pid)?.parent, process.pid);
      assert.equal(readStatus(running.pid)?.ignored.has('SIGTERM'), true);
      await using stopping = startLastcall(['stop', String(running.pid), '--kill']);
      await untilAccepted(target, false);
      stopping.signal('SIGKILL');
      await until('the program is gone', () => !isAlive(running.pid));
      assert.equal((await running.ended).signal, 'SIGKILL');
    });
  }

  test('with the look of a line of /proc/PID/status, it does not count as one', async () => {
    await using running = startCommand([PYTHON, source('named'), String(await freePort()), HOST, 'a\\nSigIgn:\\t0']);
    await running.prints(/^ready/m);
    assert.equal(readStatus(running.pid)?.ignored.has('SIGTERM'), true);
  });
});
