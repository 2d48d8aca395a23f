import assert from 'node:assert/strict';
import { type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readNamespaceTables } from '../../src/linux/proc-listeners.ts';
import type { StopReport } from '../../src/program/report.ts';
import type { StormResult } from '../../src/storm/storm.ts';
import { count } from '../harness/counts.ts';
import { startFixture } from '../harness/processes.ts';
import type { StormRunnerSends } from '../harness/storms.ts';
import { labMissing, openLab, type Lab } from '../lab/lab.ts';
import { MAIN } from '../harness/lastcall-command.ts';
import { type ForeignProgram, makeFolder, PROGRAMS, whyMissing } from './programs.ts';

const CLIENTS = 300;
const PORT = 8_080;
/** How many are half-open for sure. */
const HELD = 20;
/** In milliseconds, each way. */
const DELAY = 25;

for (const program of PROGRAMS) {
  suite(`${CLIENTS} clients of ${program.title}, ${DELAY} ms away`, { skip: whyMissing(program) || labMissing }, () => {
    for (const way of ['run', 'stop'] as const) {
      // Each once: with the same on loopback that is more than three stops of each way.
      test(`${way}: nobody is lost in any stop`, async (t) => {
        for (let stop = 1; stop <= count(10, 1); stop += 1) {
          const { result, report } = await stopOverTheWire(t, program, way);
          assertNobodyLost(result, report);
          t.diagnostic(`${report.listeners[0]?.halfOpen} half-open, ${report.listeners[0]?.queued} queued, 0 lost`);
        }
      });
    }

    test('control: stopped plainly, it loses clients', async (t) => {
      const { result } = await stopOverTheWire(t, program, 'plainly');
      assert.ok(result.lost >= HELD, JSON.stringify(result));
      t.diagnostic(`${result.lost} lost`);
    });
  });
}

type Way = 'run' | 'stop' | 'plainly';

interface Stopped {
  readonly result: StormResult;
  readonly report: StopReport;
}

/** The clients on one host of a lab, the program and what stops it on the other. */
async function stopOverTheWire(t: TestContext, program: ForeignProgram, way: Way): Promise<Stopped> {
  await using lab = await openLab({ delay: DELAY });
  const folder = makeFolder(t);
  const line = program.line({ host: lab.server.ipv4, port: PORT, folder });
  const report = join(folder, 'report.json');
  const options = ['--signal', program.signal, '--report', report];
  const running = startThere(lab, way === 'run' ? lastcall('run', '--no-inside', ...options, '--', ...line) : line);
  await untilListening(t, running);
  await using client = startFixture<StormRunnerSends>('storm/storm-runner', { host: lab.client });
  const target = { host: lab.server.ipv4, port: PORT };
  client.send({ options: { target, clients: CLIENTS, timeout: 20_000, duration: 40_000 }, tellAfter: 2 * CLIENTS });
  const enough = await client.next('enough');
  assert.ok(enough, 'the storm ended before the stop');
  // Some are in the middle of their handshake from now on, until somebody is refused: then the gate is shut, or the listener gone.
  const answers = await lab.wire.rule({ direction: 'to client', packet: 'SYN-ACK', count: HELD, action: 'hold' });
  for (let held = 0; held < HELD; held += 1) await answers.next();
  const refusal = await lab.wire.rule({ direction: 'to client', packet: 'RST', action: 'report' });
  let stopping: ChildProcess | undefined;
  if (way === 'run') running.kill('SIGTERM');
  else if (way === 'plainly') running.kill(program.signal);
  else stopping = startThere(lab, lastcall('stop', `:${PORT}`, ...options));
  await refusal.next();
  await answers.release();
  const result = await client.next('result');
  await Promise.all([ended(running), stopping && ended(stopping)]);
  return { result, report: way === 'plainly' ? NO_REPORT : JSON.parse(readFileSync(report, 'utf8')) };
}

const NO_REPORT: StopReport = {
  outcome: 'complete',
  reason: '',
  duration: 0,
  program: { pid: 0, command: '', exitCode: undefined, signal: undefined },
  signalled: undefined,
  listeners: [],
  connections: { atStart: 0, atSignal: 0, lastSeen: 0 },
  notes: [],
};

function startThere(lab: Lab, [command = '', ...args]: readonly string[]): ChildProcess {
  const options: SpawnOptions = { stdio: 'ignore' };
  return lab.server.spawn(command, args, options);
}

function lastcall(...args: readonly string[]): readonly string[] {
  return [process.execPath, MAIN, ...args];
}

/** nsenter becomes the program; its namespace's table tells. */
async function untilListening(t: TestContext, { pid = 0 }: ChildProcess): Promise<void> {
  const isListening = (): boolean =>
    readNamespaceTables(pid).listeners.some(({ address }) => address.family !== 'Unix' && address.port === PORT);
  while (!isListening()) await sleep(5, undefined, { signal: t.signal });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

function assertNobodyLost({ counts, lost, errors }: StormResult, report: StopReport): void {
  const told = JSON.stringify({ counts, errors, report });
  assert.deepEqual([lost, counts.failed, counts.aborted, counts.serverErrors], [0, 0, 0, 0], told);
  assert.equal(counts.refused, CLIENTS, told);
  assert.deepEqual([report.outcome, report.notes], ['complete', []], told);
  const [listener, ...others] = report.listeners;
  assert.deepEqual([listener?.gate, listener?.reason, others], ['refuse', undefined, []], told);
  // The path was walked: they were half-open when the gate was shut, and are among those who were served.
  assert.ok(Number(listener?.halfOpen) >= HELD, told);
  assert.equal(listener?.left, 0, told);
}
