import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { findTree } from '../../src/program/process-tree.ts';
import type { StopReport } from '../../src/program/report.ts';
import type { StormResult } from '../../src/storm/storm.ts';
import { count } from '../harness/counts.ts';
import { queuedAt } from '../harness/ports.ts';
import { CLIENTS, type Held, stopInStorm } from '../harness/storms.ts';
import {
  type Ended,
  findPort,
  start,
  startLastcall,
  type Started,
  untilAccepted,
} from '../harness/lastcall-command.ts';
import { type ForeignProgram, makeFolder, PROGRAMS, whyMissing } from './programs.ts';

const HOST = '127.0.0.1';
const PLAIN_STOPS = 10;

for (const program of PROGRAMS) {
  suite(`${CLIENTS} clients of ${program.title}`, { skip: whyMissing(program) }, () => {
    test('run: nobody is lost in any stop, and its exit code is passed on', async (t) => {
      for (let stop = 1; stop <= count(10); stop += 1) {
        const report = join(makeFolder(t), 'report.json');
        const { port, line } = await prepare(t, program);
        const options = ['--signal', program.signal, '--no-inside', '--report', report];
        const running = startLastcall(t, ['run', ...options, '--', ...line]);
        await untilAccepted(t, { host: HOST, port });
        const result = await stopInStorm(port, () => stopAndSeeRefused(t, running.pid, port), {
          held: servingUnder(running, port),
        });
        const ended = await running.ended;
        assertNobodyLost(result, JSON.parse(readFileSync(report, 'utf8')), ended);
        assert.equal(ended.code, program.exitCode, ended.stderr);
      }
    });

    test('stop: nobody is lost in any stop', async (t) => {
      for (let stop = 1; stop <= count(10); stop += 1) {
        const { port, line } = await prepare(t, program);
        const running = start(t, line, { stdio: 'ignore' });
        await untilAccepted(t, { host: HOST, port });
        let stopping: Started | undefined;
        const result = await stopInStorm(
          port,
          async () => {
            stopping = startLastcall(t, ['stop', `:${port}`, '--signal', program.signal, '--json']);
            await untilAccepted(t, { host: HOST, port }, false);
          },
          { held: serving(running, port) },
        );
        const ended = await stopping?.ended;
        assert.equal(ended?.code, 0, ended?.stderr);
        assertNobodyLost(result, JSON.parse(ended?.stdout ?? ''), ended);
        await running.ended;
      }
    });

    test('control: stopped plainly, it loses clients', async (t) => {
      // One that accepts all who wait at once may have just done so when it closes its listener; not every time.
      for (let stop = 1; stop <= PLAIN_STOPS; stop += 1) {
        const { port, line } = await prepare(t, program);
        const running = start(t, line, { stdio: 'ignore' });
        await untilAccepted(t, { host: HOST, port });
        const { lost, counts } = await stopInStorm(port, () => process.kill(running.pid, program.signal), {
          held: serving(running, port),
        });
        t.diagnostic(`${lost} lost, ${counts.refused} refused`);
        if (lost > 0) return;
      }
      assert.fail(`nobody was lost in ${PLAIN_STOPS} stops`);
    });
  });
}

async function prepare(
  t: TestContext,
  program: ForeignProgram,
): Promise<{ readonly port: number; readonly line: readonly string[] }> {
  const port = await findPort();
  return { port, line: program.line({ host: HOST, port, folder: makeFolder(t) }) };
}

/** All processes of the program are held still, until most clients wait in its accept queue. */
function serving({ pid }: Started, port: number): Held {
  return {
    get pids() {
      return [...findTree(pid)];
    },
    waiting: () => queuedAt(port),
  };
}

/** The same, where `lastcall run` is its parent, which goes on. */
function servingUnder(running: Started, port: number): Held {
  const under = serving(running, port);
  return {
    get pids() {
      return under.pids.filter((pid) => pid !== running.pid);
    },
    waiting: under.waiting,
  };
}

async function stopAndSeeRefused(t: TestContext, pid: number, port: number): Promise<void> {
  process.kill(pid, 'SIGTERM');
  await untilAccepted(t, { host: HOST, port }, false);
}

function assertNobodyLost({ counts, lost, errors }: StormResult, report: StopReport, ended: Ended | undefined): void {
  const told = JSON.stringify({ counts, errors, report, ended });
  assert.deepEqual([lost, counts.failed, counts.aborted, counts.serverErrors], [0, 0, 0, 0], told);
  assert.equal(counts.refused, CLIENTS, told);
  assert.deepEqual([report.outcome, report.notes], ['complete', []], told);
  // The path was walked: the gate was shut in front of a deep queue, and the program emptied it.
  const [listener, ...others] = report.listeners;
  assert.deepEqual([listener?.gate, listener?.reason, others], ['refuse', undefined, []], told);
  assert.ok(Number(listener?.queued) >= CLIENTS / 2, told);
  assert.deepEqual([listener?.queuedAtSignal, listener?.left], [0, 0], told);
}
