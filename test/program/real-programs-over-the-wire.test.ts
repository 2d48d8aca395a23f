import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { readNamespaceTables } from '../../src/linux/tables/proc-net.ts';
import type { StopReport } from '../../src/program/report.ts';
import type { StormResult } from '../../src/storm/storm.ts';
import { count } from '../harness/counts.ts';
import { makeFolder } from '../harness/folders.ts';
import { MAIN } from '../harness/lastcall-command.ts';
import { startCommand, startFixture, type TestProcess } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import type { StormRunnerSends } from '../harness/storms.ts';
import { until, within } from '../harness/wait.ts';
import { labMissing, openLab } from '../lab/lab.ts';
import { type ForeignProgram, PROGRAMS, whyMissing } from './programs.ts';

const CLIENTS = 300;
const PORT = 8_080;
/** How many handshakes the wire keeps half-open. */
const HELD = 20;
/** In ms, each way. */
const DELAY = 25;

for (const program of PROGRAMS) {
  suite(`${CLIENTS} clients of ${program.title}, ${DELAY} ms away`, { skip: whyMissing(program) || labMissing }, () => {
    const proof = prove(`${CLIENTS} clients of ${program.title}, ${DELAY} ms away`);

    for (const way of ['run', 'stop'] as const) {
      test(`${way}: no client is lost in any stop`, async (t) => {
        for (let stop = 1; stop <= count(10, 1); stop += 1) {
          const { result, report } = await stopOverTheWire(program, way);
          assertNoneLost(result, report);
          const { queued, halfOpen } = report?.listeners[0] ?? {};
          proof.held(t, { queued, halfOpen });
        }
      });
    }

    test('control: by the signal alone it loses clients', async (t) => {
      const { result } = await stopOverTheWire(program, 'plainly');
      assert.ok(result.lost >= HELD, JSON.stringify(result));
      proof.lost(t, result.lost);
    });
  });
}

type Way = 'run' | 'stop' | 'plainly';

interface Stopped {
  readonly result: StormResult;
  /** Undefined for a stop by the signal alone. */
  readonly report: StopReport | undefined;
}

/** Stops a program on one host of a lab, with clients on the other. */
async function stopOverTheWire(program: ForeignProgram, way: Way): Promise<Stopped> {
  await using lab = await openLab({ delay: DELAY });
  await using scope = new Scope();
  const folder = scope.use(makeFolder()).path;
  const target = { host: lab.server.ipv4, port: PORT };
  const file = join(folder, 'report.json');
  const options = ['--signal', program.signal, '--report', file];
  const start = (line: readonly string[]): TestProcess =>
    scope.use(startCommand(line, { host: lab.server, stdio: 'ignore' }));
  const startLastcall = (...args: readonly string[]): TestProcess => start([process.execPath, MAIN, ...args]);

  const line = program.line({ ...target, folder });
  const running = way === 'run' ? startLastcall('run', '--no-inside', ...options, '--', ...line) : start(line);
  await until(`${program.title} listens`, () => isListening(running.pid));
  const client = scope.use(startFixture<StormRunnerSends>('storm/storm-runner', { host: lab.client }));
  client.send({ options: { target, clients: CLIENTS, timeout: 20_000, duration: 40_000 }, tellAfter: 2 * CLIENTS });
  const enough = await client.next('enough');
  assert.ok(enough, 'the storm ended before the stop');
  // Some handshakes stay incomplete until a client is refused: then the gate is shut, or the listener closed.
  const answers = await lab.wire.rule({ direction: 'to client', packet: 'SYN-ACK', count: HELD, action: 'hold' });
  const keepHalfOpen = async (held: number): Promise<void> => {
    const { clientPort } = await within(`SYN-ACK ${held} of ${HELD}`, answers.next());
    // The kernel answers again after a second: a slow machine has not stopped anything by then.
    await lab.wire.rule({ direction: 'to client', packet: 'SYN-ACK', clientPort, count: Infinity, action: 'drop' });
  };
  // Side by side: one after the other they would take a slow machine longer than that second.
  await Promise.all(Array.from({ length: HELD }, (_, index) => keepHalfOpen(index + 1)));
  const refusal = await lab.wire.rule({ direction: 'to client', packet: 'refusal', action: 'report' });
  let stopping: TestProcess | undefined;
  if (way === 'run') running.signal('SIGTERM');
  else if (way === 'plainly') running.signal(program.signal);
  else stopping = startLastcall('stop', `:${PORT}`, ...options);
  await within('a client to be refused', refusal.next());
  await answers.release();
  const result = await client.next('result');
  await Promise.all([running.ended, stopping?.ended]);
  return { result, report: way === 'plainly' ? undefined : JSON.parse(readFileSync(file, 'utf8')) };
}

/** Reads the table of the program's namespace. (nsenter has become the program.) */
function isListening(pid: number): boolean {
  return readNamespaceTables(pid).listeners.some(({ address }) => address.family !== 'Unix' && address.port === PORT);
}

function assertNoneLost({ counts, lost, errors }: StormResult, report: StopReport | undefined): void {
  const details = JSON.stringify({ counts, errors, report });
  const { failed, aborted, serverErrors, refused } = counts;
  assert.deepEqual(
    { lost, failed, aborted, serverErrors, refused },
    { lost: 0, failed: 0, aborted: 0, serverErrors: 0, refused: CLIENTS },
    details,
  );
  assert.deepEqual({ outcome: report?.outcome, notes: report?.notes }, { outcome: 'complete', notes: [] }, details);
  // The state was there: the clients were half-open when the gate was shut, and are among the served.
  const [listener, ...others] = report?.listeners ?? [];
  const { gate, reason, left } = listener ?? {};
  assert.deepEqual({ gate, reason, left, others }, { gate: 'refuse', reason: undefined, left: 0, others: [] }, details);
  assert.ok(Number(listener?.halfOpen) >= HELD, details);
}
