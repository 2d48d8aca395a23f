import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { StormOptions, StormResult } from '../../src/storm/storm.ts';
import { count } from '../harness/counts.ts';
import type { Program } from '../harness/observed-program.ts';
import { queuedAt } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL, type Registration, startService } from '../harness/start-service.ts';
import type { Ended } from '../harness/observed-program.ts';
import { CLIENTS, stopInStorm } from '../harness/storms.ts';

/** How the clients of a storm connect. */
export interface Load extends Pick<StormOptions, 'keepAlive' | 'thinkTime'> {
  readonly title: string;
}

export const NEW_CONNECTIONS: Load = { title: 'with a new connection for each request' };
export const KEPT_CONNECTIONS: Load = { title: 'on kept connections', keepAlive: true, thinkTime: [50, 150] };

/** A way in which a program stops. */
export interface Way {
  readonly title: string;
  /** What the program itself does at SIGTERM. */
  readonly program: string;
  readonly registration?: Registration;
  /** The same program without lastcall. */
  readonly control: string;
}

export const WITHOUT_LISTENER: readonly Way[] = [
  { title: 'that calls lastCall(server)', program: 'lastCall', control: 'nothing' },
  {
    title: 'that does not call lastCall, under register',
    program: 'nothing',
    registration: '--import',
    control: 'nothing',
  },
  {
    title: 'that does not call lastCall, by NODE_OPTIONS',
    program: 'nothing',
    registration: 'NODE_OPTIONS',
    control: 'nothing',
  },
];

export const WITH_LISTENER: readonly Way[] = ['close, then exit', 'close', 'exit'].map((program) => ({
  title: `whose own listener does \`${program}\`, under register`,
  program,
  registration: '--import',
  control: program,
}));

/** Defines the tests of these ways, each with its control. */
export function testStops({ title: load, ...storm }: Load, ways: readonly Way[]): void {
  // Two at a time: each waits for its program to start, and to end.
  suite(`${CLIENTS} clients ${load}, when SIGTERM comes to a program`, { concurrency: 2 }, () => {
    const controls = [...new Set(ways.map(({ control }) => control))];
    const proofs = new Map(
      controls.map((way) => [way, prove(`a program that does \`${way}\` at SIGTERM, under clients ${load}`)]),
    );

    for (const { title, program, registration = 'none', control } of ways) {
      test(`${title}: no client is lost in any stop, and the exit code is 0`, async (t) => {
        for (let seed = 1; seed <= count(10, 1); seed += 1) {
          await using service = startService('lifecycle/stopped-service', { args: [program], registration });
          const stopped = await stop(service, { ...storm, seed });
          const walked = assertNoneLost(stopped, service, storm.keepAlive === true);
          proofs.get(control)?.held(t, walked);
        }
      });
    }

    for (const [program, proof] of proofs) {
      test(`control: with \`${program}\` and without lastcall clients are lost`, async (t) => {
        await using service = startService('lifecycle/stopped-service', { args: [program] });
        const { result } = await stop(service, storm);
        proof.lost(t, result.lost);
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

/** Returns the state in which the gate was shut. */
function assertNoneLost(
  { result, ended }: Stopped,
  service: Program,
  isKept: boolean,
): Readonly<Record<string, number>> {
  const { lost } = result;
  const { failed, aborted, serverErrors, refused } = result.counts;
  const told = JSON.stringify({ result, ended, history: service.history });
  assert.deepEqual(
    { lost, failed, aborted, serverErrors, refused },
    { lost: 0, failed: 0, aborted: 0, serverErrors: 0, refused: CLIENTS },
    told,
  );
  assert.deepEqual(ended, ENDED_WELL, told);

  // The path was walked: the gate was shut in front of a deep queue, or many were connected and all were ended.
  const states = service.history.filter(({ tell }) => tell === 'state').map(({ facts }) => facts?.state);
  assert.deepEqual(states, ['lame duck', 'closing', 'closed'], told);
  const [gate, ...others] = service.history.filter(({ tell }) => tell === 'gate').map(({ facts }) => facts);
  assert.deepEqual({ gate: gate?.gate, others }, { gate: 'refuse', others: [] }, told);
  const {
    atStart = 0,
    fromQueues = 0,
    ended: well,
  } = service.history.find(({ tell }) => tell === 'report')?.report?.connections ?? {};
  assert.equal(well, atStart + fromQueues, told);
  if (isKept) assert.equal(well, CLIENTS, told);
  const queued = Number(gate?.queued);
  assert.ok(isKept ? atStart >= CLIENTS / 6 : queued >= CLIENTS / 2, told);
  return isKept ? { connected: atStart, queued } : { queued };
}
