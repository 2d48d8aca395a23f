import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { StormOptions, StormResult } from '../../src/storm/storm.ts';
import { count } from '../harness/counts.ts';
import type { Ended, Program } from '../harness/observed-program.ts';
import { type Registration, startService } from '../harness/start-service.ts';
import { queuedAt } from '../harness/ports.ts';
import { CLIENTS, stopInStorm } from '../harness/storms.ts';

const LOADS: readonly (Pick<StormOptions, 'keepAlive' | 'thinkTime'> & { readonly title: string })[] = [
  { title: 'with a new connection for each request' },
  { title: 'on kept connections', keepAlive: true, thinkTime: [50, 150] },
];

interface Way {
  readonly title: string;
  /** What the program does of its own about SIGTERM. */
  readonly program: string;
  readonly registration?: Registration;
  /** The same program without lastcall. */
  readonly control: string;
}

const WAYS: readonly Way[] = [
  { title: 'that calls lastCall(server)', program: 'lastCall', control: 'nothing' },
  { title: 'that knows nothing, under register', program: 'nothing', registration: '--import', control: 'nothing' },
  {
    title: 'that knows nothing, by NODE_OPTIONS',
    program: 'nothing',
    registration: 'NODE_OPTIONS',
    control: 'nothing',
  },
  ...['close, then exit', 'close', 'exit'].map(
    (program): Way => ({
      title: `whose own listener does \`${program}\`, under register`,
      program,
      registration: '--import',
      control: program,
    }),
  ),
];

for (const { title: load, ...storm } of LOADS) {
  suite(`${CLIENTS} clients ${load}, when SIGTERM comes to a program`, () => {
    for (const { title, program, registration = 'none' } of WAYS) {
      test(`${title}: nobody is lost in any stop, and the exit code is 0`, async (t) => {
        for (let seed = 1; seed <= count(10); seed += 1) {
          const service = startService(t, 'lifecycle/stopped-service.js', { args: [program], registration });
          const stopped = await stop(service, { ...storm, seed });
          assertNobodyLost(stopped, service, storm.keepAlive === true);
          t.diagnostic(`${stopped.result.counts.served} served, 0 lost`);
        }
      });
    }

    for (const program of new Set(WAYS.map(({ control }) => control))) {
      test(`control: that does \`${program}\` without lastcall: clients are lost`, async (t) => {
        const service = startService(t, 'lifecycle/stopped-service.js', { args: [program] });
        const { result } = await stop(service, storm);
        assert.ok(result.lost > 0, JSON.stringify(result));
        t.diagnostic(`${result.lost} lost`);
      });
    }
  });
}

interface Stopped {
  readonly result: StormResult;
  readonly ended: Ended;
}

async function stop(service: Program, storm: Partial<StormOptions>): Promise<Stopped> {
  const { port = 0 } = await service.next('listening');
  const result = await stopInStorm(port, () => process.kill(service.pid, 'SIGTERM'), {
    ...storm,
    // Kept connections queue up once, at the start.
    ...(storm.keepAlive === true ? {} : { held: { pids: [service.pid], waiting: () => queuedAt(port) } }),
  });
  return { result, ended: await service.ended };
}

function assertNobodyLost({ result, ended }: Stopped, service: Program, isKept: boolean): void {
  const { counts, lost } = result;
  const told = JSON.stringify({ result, ended, history: service.history });
  assert.deepEqual([lost, counts.failed, counts.aborted, counts.serverErrors], [0, 0, 0, 0], told);
  assert.equal(counts.refused, CLIENTS, told);
  assert.deepEqual(ended, { code: 0, signal: null, stderr: '' }, told);

  // The path was walked: the gate was shut in front of a deep queue, or many were connected and all were ended.
  const states = service.history.filter(({ tell }) => tell === 'state').map(({ facts }) => facts?.state);
  assert.deepEqual(states, ['lame duck', 'closing', 'closed'], told);
  const [gate, ...others] = service.history.filter(({ tell }) => tell === 'gate').map(({ facts }) => facts);
  assert.deepEqual([gate?.gate, others], ['refuse', []], told);
  const {
    atStart = 0,
    fromQueues = 0,
    ended: well,
  } = service.history.find(({ tell }) => tell === 'report')?.report?.connections ?? {};
  assert.equal(well, atStart + fromQueues, told);
  if (isKept) assert.equal(well, CLIENTS, told);
  assert.ok((isKept ? atStart : Number(gate?.queued)) >= (isKept ? CLIENTS / 6 : CLIENTS / 2), told);
}
