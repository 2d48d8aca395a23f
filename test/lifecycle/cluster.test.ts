import assert from 'node:assert/strict';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { ask } from '../close/calls-servers.ts';
import { askWhoServes } from '../harness/observed-program.ts';
import { type ClusterService, startCluster, toldBy } from './cluster-service.ts';

const WAYS = [
  { title: 'whose processes call lastCall', program: 'lastCall' },
  { title: 'that knows nothing, under register', program: 'nothing', registration: '--import' },
] as const;
const POLICIES = ['rr', 'none'] as const;

for (const { title, program, ...registration } of WAYS) {
  for (const policy of POLICIES) {
    suite(`a cluster ${title}, with SCHED_${policy.toUpperCase()}`, () => {
      test('a worker that is killed in the stop loses its clients, the others do not, and the exit code is 0', async (t) => {
        const service = await startCluster(t, [policy, program], registration);
        const { port, workers } = service;
        const answers = await askUntilAllHold(service);
        process.kill(service.program.pid, 'SIGTERM');
        // All are in their stop, the gate is shut, and nobody is left but those who wait for their answers.
        for (let gates = 0; gates < 1 + workers.length; gates += 1) await service.program.next('gate');
        assert.equal(await askWhoServes(port), 'ECONNREFUSED');

        const [victim = 0, ...others] = workers;
        process.kill(victim, 'SIGKILL');
        for (const worker of others) process.kill(worker, 'SIGUSR2');
        const got = await Promise.all(answers);
        assert.deepEqual(new Set(got), new Set([...others.map(String), 'ECONNRESET']));
        const { code, signal, stderr } = await service.program.ended;
        assert.deepEqual([code, signal], [0, null]);
        const line = /^lastcall: Worker \d+ \(process (\d+)\) ended with SIGKILL before it had closed\n$/;
        assert.equal(line.exec(stderr)?.[1], String(victim), stderr);
      });
    });
  }

  suite(`a cluster ${title}, whose workers are busy`, () => {
    test('loses nobody of those who are with the primary still', async (t) => {
      const service = await startCluster(t, ['rr', program, '50'], registration);
      const answers = await stopWhileBusy(service);
      assert.deepEqual(new Set(answers), new Set(['HTTP/1.1 200 OK']));
      assert.deepEqual(await service.program.ended, { code: 0, signal: null, stderr: '' });
      const [gate] = toldBy('primary', service, 'gate');
      assert.equal(gate?.facts?.gate, 'refuse');
      assert.ok(Number(gate.facts.withoutOwner) >= 5, JSON.stringify(gate));
    });
  });
}

test('a cluster whose queue takes more than half of the deadline loses nobody', async (t) => {
  const env = { LASTCALL_DEADLINE: '8s' };
  const service = await startCluster(t, ['rr', 'nothing', '370'], { registration: '--import', env });
  const began = performance.now();
  assert.deepEqual(new Set(await stopOnceConnected(service)), new Set(['HTTP/1.1 200 OK']));
  assert.ok(performance.now() - began > 4_000);
  assert.deepEqual(await service.program.ended, { code: 0, signal: null, stderr: '' });
});

test('control: a cluster without lastcall, whose workers are busy, resets those who are with the primary still', async (t) => {
  const answers = await stopWhileBusy(await startCluster(t, ['rr', 'nothing', '50']), () => {});
  assert.ok(answers.filter((answer) => answer === 'ECONNRESET').length >= 5, answers.join());
});

/** Clients of whom each worker has at least one that waits for its answer. */
async function askUntilAllHold({ program, port, workers }: ClusterService): Promise<readonly Promise<string>[]> {
  const answers: Promise<string>[] = [];
  const holding = new Set<number>();
  while (holding.size < workers.length) {
    answers.push(askWhoServes(port, '/held'));
    holding.add((await program.next('holds')).pid);
  }
  return answers;
}

/** SIGTERM when all clients are connected, and most of them have not reached a worker: these are held still until `isUnderWay`. */
async function stopWhileBusy(
  service: ClusterService,
  isUnderWay: () => unknown = () => service.program.next('gate'),
): Promise<readonly string[]> {
  const { workers } = service;
  for (const worker of workers) process.kill(worker, 'SIGSTOP');
  try {
    return await stopOnceConnected(service, async () => {
      await isUnderWay();
      for (const worker of workers) process.kill(worker, 'SIGCONT');
    });
  } finally {
    for (const worker of workers) continueIfThere(worker);
  }
}

async function stopOnceConnected(
  { program, port }: ClusterService,
  afterwards: () => Promise<void> = async () => {},
): Promise<readonly string[]> {
  const clients = Array.from({ length: 40 }, () => ask(port));
  await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
  process.kill(program.pid, 'SIGTERM');
  await afterwards();
  return Promise.all(clients.map(({ answer }) => answer));
}

function continueIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // It has ended.
  }
}
