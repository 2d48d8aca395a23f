import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { suite, test } from 'node:test';
import type { StormResult } from '../../src/storm/storm.ts';
import { count } from '../harness/counts.ts';
import { queuedAt } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { type Registration } from '../harness/start-service.ts';
import type { Ended } from '../harness/observed-program.ts';
import { CLIENTS, type Held, stopInStorm } from '../harness/storms.ts';
import { type ClusterService, startCluster, toldBy } from './cluster-service-driver.ts';

/** A way in which a cluster comes to its stop. */
export interface ClusterWay {
  readonly title: string;
  readonly program: string;
  readonly registration?: Registration;
}

/** The ways that the README names. */
export const PLAIN_WAYS: readonly ClusterWay[] = [
  { title: 'whose processes call lastCall', program: 'lastCall' },
  { title: 'that does not call lastCall, under register', program: 'nothing', registration: '--import' },
];
export const FORKS_ANEW: ClusterWay = {
  title: 'that forks a worker for each that exits, under register',
  program: 'forks anew',
  registration: '--import',
};
const ALL_WAYS: readonly ClusterWay[] = [...PLAIN_WAYS, FORKS_ANEW];

/** The processes of a service that get SIGTERM. */
export interface Receiver {
  readonly title: string;
  readonly kill: (pid: number) => void;
}

export const PRIMARY: Receiver = { title: 'its primary', kill: (pid) => process.kill(pid, 'SIGTERM') };
/** A terminal and a service manager send it to all processes of a service. */
export const GROUP: Receiver = { title: 'its process group', kill: (pid) => process.kill(-pid, 'SIGTERM') };

/** Defines the tests of a cluster with this scheduling, with their control. */
export function testClusterStops(
  policy: 'rr' | 'none',
  { title: receiver, kill }: Receiver,
  ways: readonly ClusterWay[] = ALL_WAYS,
): void {
  const scheduled = `a cluster with SCHED_${policy.toUpperCase()}`;
  // Two at a time: each waits for its processes to start, and to end.
  suite(`${CLIENTS} clients, when SIGTERM comes to ${receiver} of ${scheduled}`, { concurrency: 2 }, () => {
    const proof = prove(`${scheduled} under a storm, SIGTERM to ${receiver}`);

    for (const { title, program, ...registration } of ways) {
      test(`${title}: no client is lost in any stop, and the exit code is 0`, async (t) => {
        // Twelve ways: each once is more than three stops of each kind of program.
        for (let time = 1; time <= count(10, 1); time += 1) {
          await using service = await startCluster([policy, program], registration);
          const stop = (): Promise<unknown> => {
            kill(service.program.pid);
            // Before that the workers would empty the queue.
            return service.program.next('gate');
          };
          const result = await stopInStorm(service.port, stop, { held: workersOf(service) });
          assertNoneLost(result, await service.program.ended, service);
          proof.held(t, { queued: queuedInFront(service) });
        }
      });
    }

    test('control: without lastcall clients are lost', async (t) => {
      await using service = await startCluster([policy, 'nothing']);
      const { lost } = await stopInStorm(service.port, () => kill(service.program.pid), {
        held: workersOf(service),
      });
      proof.lost(t, lost);
    });
  });
}

/** While the workers are held still, clients wait in the accept queue, or their connections wait in the primary. */
function workersOf({ program, port, workers }: ClusterService): Held {
  return { pids: workers, waiting: () => queuedAt(port) + readdirSync(`/proc/${program.pid}/fd`).length };
}

/** Clients in front of the gate when the primary shut it: in the kernel's queue, or accepted by it for a worker. */
function queuedInFront(service: ClusterService): number {
  const [gate] = toldBy('primary', service, 'gate').map(({ facts }) => facts);
  return Number(gate?.inTransit) + Number(gate?.queued);
}

function assertNoneLost({ counts, lost, errors }: StormResult, ended: Ended, service: ClusterService): void {
  const told = JSON.stringify({ counts, errors, ended, history: service.program.history });
  const { failed, aborted, serverErrors, refused } = counts;
  assert.deepEqual(
    { lost, failed, aborted, serverErrors, refused },
    { lost: 0, failed: 0, aborted: 0, serverErrors: 0, refused: CLIENTS },
    told,
  );
  const { code, signal } = ended;
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, told);
  // Node prints an error for a worker that was forked too late and finds its primary gone.
  const isForkedAnew = toldBy('primary', service, 'forks anew').length > 0;
  assert.ok(isForkedAnew ? !ended.stderr.includes('lastcall') : ended.stderr === '', told);

  // The gate was shut once, by the primary, in front of clients that no worker had yet.
  const [gate, ...others] = toldBy('primary', service, 'gate').map(({ facts }) => facts);
  assert.deepEqual({ gate: gate?.gate, others }, { gate: 'refuse', others: [] }, told);
  assert.ok(queuedInFront(service) >= 10, told);
  const gates = toldBy('workers', service, 'gate').map(({ facts }) => facts?.gate);
  assert.deepEqual([...new Set(gates)], ['shared'], told);
  // A worker that was forked in time serves until the others leave too.
  assert.ok(isForkedAnew ? gates.length >= 3 : gates.length === 3, told);
  assert.equal(toldBy('primary', service, 'state').at(-1)?.facts?.state, 'closed', told);
}
