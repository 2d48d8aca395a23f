import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { StopReport } from '../../src/program/report.ts';
import { makeFolder } from '../harness/folders.ts';
import { startLastcall, TO_GATE } from '../harness/lastcall-command.ts';
import { freePort, untilAccepted } from '../harness/ports.ts';
import { holdTree, isAlive } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { within } from '../harness/wait.ts';
import { startForeign } from '../program/foreign-program-driver.ts';
import { countUnserved, queueClients, tally } from '../program/queued-clients.ts';
import { reportOf, stop } from './stop-to-the-end.ts';

const CLIENTS = 10;
const HOST = '127.0.0.1';

suite('a running program', () => {
  const proof = prove('clients in the queue of a program, stopped by lastcall stop');

  for (const by of ['its port', 'its number', 'its Unix path'] as const) {
    test(`named by ${by}, is stopped without losing queued clients`, async (t) => {
      using folder = makeFolder();
      const path = join(folder.path, 'app.sock');
      const target = by === 'its Unix path' ? { path } : { port: await freePort(), host: HOST };
      await using running = await startForeign({ listen: [target] });
      const goOn = await holdTree(running.pid);
      using clients = await queueClients(CLIENTS, target);
      const name = { 'its port': `:${target.port}`, 'its number': String(running.pid), 'its Unix path': path }[by];
      // A Unix listener cannot be opened again.
      await using stopping = startLastcall([
        'stop',
        name,
        '--json',
        ...(by === 'its Unix path' ? ['--kill'] : TO_GATE),
      ]);
      await untilAccepted(target, false);
      goOn();
      assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
      const ended = await stopping.ended;
      assert.equal(ended.code, 0, ended.stderr);
      const { outcome, listeners, signalled } = reportOf(ended);
      const [listener, ...others] = listeners;
      assert.deepEqual(
        { outcome, signal: signalled?.signal, gate: listener?.gate, left: listener?.left, others },
        {
          outcome: 'complete',
          signal: 'SIGTERM',
          gate: by === 'its Unix path' ? 'unix' : 'refuse',
          left: 0,
          others: [],
        },
      );
      assert.equal((await running.ended).code, 0);
      proof.held(t, { queued: listener?.queued });
    });
  }

  test('control: by the signal alone it loses them', async (t) => {
    const target = { port: await freePort(), host: HOST };
    await using running = await startForeign({ listen: [target] });
    const goOn = await holdTree(running.pid);
    using clients = await queueClients(CLIENTS, target);
    running.signal('SIGTERM');
    goOn();
    proof.lost(t, countUnserved(await clients.outcomes));
  });
});

test('if stop is killed by SIGKILL, the watchdog sends the program the signal', async () => {
  const target = { port: await freePort(), host: HOST };
  await using running = await startForeign({ listen: [target] });
  const goOn = await holdTree(running.pid);
  using clients = await queueClients(1, target);
  await using stopping = startLastcall(['stop', String(running.pid), ...TO_GATE]);
  await untilAccepted(target, false);
  stopping.signal('SIGKILL');
  await stopping.ended;
  goOn();
  assert.equal((await within('the program to end by the signal', running.ended)).code, 0);
  await clients.outcomes;
});

test('if several programs hold a port, stop lists them and stops none', async () => {
  const port = await freePort();
  await using first = await startForeign({ listen: [{ port, host: '127.0.0.1' }] });
  await using second = await startForeign({ listen: [{ port, host: '127.0.0.2' }] });
  const { code, stderr } = await stop(`:${port}`);
  assert.equal(code, 2);
  assert.match(
    stderr,
    new RegExp(`several processes, name one of them, or its address: .*${first.pid} \\(.*, ${second.pid} \\(`),
  );
  assert.ok(isAlive(first.pid) && isAlive(second.pid));
});

test('the report goes to a file, and a summary to the terminal', async () => {
  using folder = makeFolder();
  const file = join(folder.path, 'report.json');
  const target = { port: await freePort(), host: HOST };
  await using running = await startForeign({ listen: [target] });
  const { code, stdout } = await stop(String(running.pid), '--report', file, ...TO_GATE);
  assert.equal(code, 0);
  assert.match(stdout, /stopped in \d+\.\d\d s, SIGTERM after \d+\.\d\d s/);
  assert.match(stdout, new RegExp(`^ {2}127\\.0\\.0\\.1:${target.port} +refuse +0 queued +0 half-open +0 left$`, 'm'));
  const report: StopReport = JSON.parse(readFileSync(file, 'utf8'));
  const { outcome, reason, program } = report;
  assert.deepEqual(
    { outcome, reason, pid: program.pid },
    { outcome: 'complete', reason: 'lastcall stop', pid: running.pid },
  );
});
