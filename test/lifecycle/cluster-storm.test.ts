import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { suite, test } from 'node:test';
import type { StormResult } from '../../src/storm/storm.ts';
import { count } from '../harness/counts.ts';
import type { Ended } from '../harness/observed-program.ts';
import { type ClusterService, startCluster, toldBy } from './cluster-service.ts';
import { queuedAt } from '../harness/ports.ts';
import { CLIENTS, type Held, stopInStorm } from '../harness/storms.ts';

const POLICIES = ['rr', 'none'] as const;
const WAYS = [
  { title: 'whose processes call lastCall', program: 'lastCall' },
  { title: 'that knows nothing, under register', program: 'nothing', registration: '--import' },
  { title: 'that forks a worker for each that exits, under register', program: 'forks anew', registration: '--import' },
] as const;
// A terminal and a service manager send it to all processes of a service.
const RECEIVERS = [
  { title: 'its primary', kill: (pid: number) => process.kill(pid, 'SIGTERM') },
  { title: 'its process group', kill: (pid: number) => process.kill(-pid, 'SIGTERM') },
] as const;

for (const policy of POLICIES) {
  for (const { title: receiver, kill } of RECEIVERS) {
    suite(`${CLIENTS} clients, when SIGTERM comes to ${receiver} of a cluster with SCHED_${policy.toUpperCase()}`, () => {
      for (const { title, program, ...registration } of WAYS) {
        test(`${title}: nobody is lost in any stop, and the exit code is 0`, async (t) => {
          // Twelve ways: each once is more than three stops of each kind of program.
          for (let stop = 1; stop <= count(10, 1); stop += 1) {
            const service = await startCluster(t, [policy, program], registration);
            const stop = (): Promise<unknown> => {
              kill(service.program.pid);
              // They would empty the queue before.
              return service.program.next('gate');
            };
            const result = await stopInStorm(service.port, stop, { held: workersOf(service) });
            assertNobodyLost(result, await service.program.ended, service);
            t.diagnostic(`${result.counts.served} served, 0 lost`);
          }
        });
      }

      test('control: without lastcall clients are lost', async (t) => {
        const service = await startCluster(t, [policy, 'nothing']);
        const { lost, counts } = await stopInStorm(service.port, () => kill(service.program.pid), {
          held: workersOf(service),
        });
        assert.ok(lost > 0, JSON.stringify(counts));
        t.diagnostic(`${lost} lost`);
      });
    });
  }
}

/** While they are held still clients wait in the accept queue, or their connections in the primary that accepted them. */
function workersOf({ program, port, workers }: ClusterService): Held {
  return { pids: workers, waiting: () => queuedAt(port) + readdirSync(`/proc/${program.pid}/fd`).length };
}

function assertNobodyLost({ counts, lost, errors }: StormResult, ended: Ended, service: ClusterService): void {
  const told = JSON.stringify({ counts, errors, ended, history: service.program.history });
  assert.deepEqual([lost, counts.failed, counts.aborted, counts.serverErrors], [0, 0, 0, 0], told);
  assert.equal(counts.refused, CLIENTS, told);
  assert.deepEqual([ended.code, ended.signal], [0, null], told);
  // Of a worker that was forked too late and finds its primary gone, Node says so.
  const isForkedAnew = toldBy('primary', service, 'forks anew').length > 0;
  assert.ok(isForkedAnew ? !ended.stderr.includes('lastcall') : ended.stderr === '', told);

  // The gate was shut once, by the primary, in front of clients that no worker had yet.
  const [gate, ...others] = toldBy('primary', service, 'gate').map(({ facts }) => facts);
  assert.deepEqual([gate?.gate, others], ['refuse', []], told);
  assert.ok(Number(gate?.withoutOwner) + Number(gate?.queued) >= 10, told);
  const gates = toldBy('workers', service, 'gate').map(({ facts }) => facts?.gate);
  assert.deepEqual([...new Set(gates)], ['shared'], told);
  // One that was forked anew in time serves until the others leave, too.
  assert.ok(isForkedAnew ? gates.length >= 3 : gates.length === 3, told);
  assert.equal(toldBy('primary', service, 'state').at(-1)?.facts?.state, 'closed', told);
}
