// `lastcall run` around a shell that runs several programs: it ends by the signal at once, and leaves them behind. And around a
// program whose worker ends before it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { StopReport } from '../../src/program/report.ts';
import { makeFolder } from '../harness/folders.ts';
import { startLastcall } from '../harness/lastcall-command.ts';
import { needsPrograms } from '../harness/needs.ts';
import { freePort } from '../harness/ports.ts';
import { isAlive } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { foreignLine } from '../program/foreign-program-driver.ts';
import { countUnserved, queueClients, tally } from '../program/queued-clients.ts';

const HOST = '127.0.0.1';
const CLIENTS = 3;

suite('two programs behind a shell, with requests under way when they get the signal', () => {
  const proof = prove('requests under way in two programs behind a shell, stopped by lastcall run');

  /** Answers `answerAfter` ms after both programs have got the signal; undefined: never. */
  async function stop(answerAfter: number | undefined, ...options: readonly string[]) {
    using folder = makeFolder();
    const file = join(folder.path, 'report.json');
    const targets = [
      { port: await freePort(), host: HOST },
      { port: await freePort(), host: HOST },
    ];
    const orders = targets.map((target) => ({ listen: [target], atSignal: 'finish', answersLate: true }));
    const script = `${orders.map((order) => `${quote(foreignLine(order))} &`).join(' ')} wait`;
    const all = ['--no-inside', '--queue-wait', '0s', '--report', file, ...options];
    await using running = startLastcall(['run', ...all, '--', 'sh', '-c', script]);
    await running.prints(/(^ready [^]*){2}/m);
    const pids = [...running.stdout.matchAll(/^ready (\d+) /gm)].map(([, pid]) => Number(pid));
    assert.equal(pids.length, targets.length);
    using first = await queueClients(CLIENTS, targets[0] ?? { port: 0 });
    using second = await queueClients(CLIENTS, targets[1] ?? { port: 0 });
    await running.prints(new RegExp(`(^request ${CLIENTS}$[^]*){2}`, 'm'));
    running.signal('SIGTERM');
    await running.prints(/(^SIGTERM$[^]*){2}/m);
    if (answerAfter !== undefined) {
      await sleep(answerAfter);
      for (const pid of pids) process.kill(pid, 'SIGUSR2');
    }
    const outcomes = [...(await first.outcomes), ...(await second.outcomes)];
    const { code, stderr } = await running.ended;
    const report: StopReport = JSON.parse(readFileSync(file, 'utf8'));
    return { outcomes, report, code, stderr, alive: pids.filter(isAlive) };
  }

  test('have what is left of the deadline, even if that is more than 5 s', async (t) => {
    // How long the programs may take is what is tested.
    const { outcomes, report, code } = await stop(5_500);
    assert.deepEqual(tally(outcomes), { served: 2 * CLIENTS });
    const { outcome, doubts, notes } = report;
    assert.deepEqual(
      { code, outcome, doubts, notes },
      { code: 143, outcome: 'complete', doubts: [], notes: ['it left processes behind: 2 stopped'] },
    );
    proof.held(t, { open: report.connections.atSignal });
  });

  test('control: at the deadline they are killed, and neither the report nor stderr calls them stopped', async (t) => {
    const { outcomes, report, stderr, alive } = await stop(undefined, '--deadline', '1s');
    const { outcome, doubts, notes } = report;
    const lost = countUnserved(outcomes);
    assert.deepEqual(
      { outcome, doubts, notes, alive },
      {
        outcome: 'killed',
        doubts: [`${lost} clients waited for an answer when the program, or a part of it, ended`],
        notes: ['it left processes behind: 2 killed at the deadline'],
        alive: [],
      },
    );
    assert.doesNotMatch(stderr, /stopped/);
    proof.lost(t, lost);
  });
});

function quote(line: readonly string[]): string {
  return line.map((word) => `'${word}'`).join(' ');
}

const PYTHON = '/usr/bin/python3';
const LOST_WORKER = fileURLToPath(new URL('../../../test/program/programs/lost_worker.py', import.meta.url));

suite('a worker that ends a second before its master, with a request under way', {
  skip: needsPrograms(PYTHON),
}, () => {
  const proof = prove('the report of a program whose worker is killed in its stop');

  async function stop(fate: 'killed' | 'answered') {
    using folder = makeFolder();
    const file = join(folder.path, 'report.json');
    const port = await freePort();
    const options = ['--queue-wait', '0s', '--report', file];
    await using running = startLastcall(['run', ...options, '--', PYTHON, LOST_WORKER, String(port), fate]);
    await running.prints(/^ready$/m);
    using clients = await queueClients(1, { port, host: HOST });
    await running.prints(/^asked$/m);
    running.signal('SIGTERM');
    const outcomes = await clients.outcomes;
    await running.ended;
    const { outcome, doubts }: StopReport = JSON.parse(readFileSync(file, 'utf8'));
    return { outcomes, outcome, doubts: doubts.length };
  }

  test('is in doubt: its client has lost its answer, and the report is forced', async (t) => {
    const { outcomes, ...report } = await stop('killed');
    assert.equal(countUnserved(outcomes), 1);
    assert.deepEqual(report, { outcome: 'forced', doubts: 1 });
    proof.lost(t, 1);
  });

  test('control: if it has answered, the report is complete', async (t) => {
    const { outcomes, ...report } = await stop('answered');
    assert.deepEqual(tally(outcomes), { served: 1 });
    assert.deepEqual(report, { outcome: 'complete', doubts: 0 });
    proof.held(t, { open: 1 });
  });
});
