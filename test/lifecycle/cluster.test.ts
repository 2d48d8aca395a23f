import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { askWhoServes } from '../harness/observed-program.ts';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL } from '../harness/start-service.ts';
import { type ClusterService, holdWorkers, startCluster, toldBy } from './cluster-service-driver.ts';
import { connectClients, tally } from './one-request.ts';

const WAYS = [
  { title: 'whose processes call lastCall', program: 'lastCall' },
  { title: 'that does not call lastCall, under register', program: 'nothing', registration: '--import' },
] as const;
const POLICIES = ['rr', 'none'] as const;
const CLIENTS = 40;
const ALL_SERVED = { 'HTTP/1.1 200 OK': CLIENTS };
const proof = prove('clients that wait in the primary of a cluster');

for (const { title, program, ...registration } of WAYS) {
  for (const policy of POLICIES) {
    suite(`a cluster ${title}, with SCHED_${policy.toUpperCase()}`, () => {
      test('a worker that is killed during the stop loses its clients, the others lose none, and the exit code is 0', async () => {
        await using service = await startCluster([policy, program], registration);
        const { port, workers } = service;
        const answers = await askUntilAllHold(service);
        process.kill(service.program.pid, 'SIGTERM');
        // All processes are in their stop, the gate is shut, and only clients that wait for their answers are left.
        for (let gates = 0; gates < 1 + workers.length; gates += 1) await service.program.next('gate');
        assert.equal(await askWhoServes(port), 'ECONNREFUSED');

        const [victim = 0, ...others] = workers;
        process.kill(victim, 'SIGKILL');
        for (const worker of others) process.kill(worker, 'SIGUSR2');
        const got = await Promise.all(answers);
        assert.deepEqual(new Set(got), new Set([...others.map(String), 'ECONNRESET']));
        const { code, signal, stderr } = await service.program.ended;
        assert.deepEqual({ code, signal }, { code: 0, signal: null });
        const line = /^lastcall: Worker \d+ \(process (\d+)\) ended with SIGKILL before it had closed\n$/;
        assert.equal(line.exec(stderr)?.[1], String(victim), stderr);
      });
    });
  }

  suite(`a cluster ${title}, whose workers are busy`, () => {
    test('loses no client that is still with the primary', async (t) => {
      await using service = await startCluster(['rr', program, '50'], registration);
      assert.deepEqual(tally(await stopWhileBusy(service)), ALL_SERVED);
      assert.deepEqual(await service.program.ended, ENDED_WELL);
      const [gate] = toldBy('primary', service, 'gate');
      assert.equal(gate?.facts?.gate, 'refuse');
      assert.ok(Number(gate.facts.inTransit) >= 5, JSON.stringify(gate));
      proof.held(t, { 'in the primary': Number(gate.facts.inTransit) });
    });
  });
}

test('a cluster whose queue takes more than half of the deadline loses no client', async () => {
  const env = { LASTCALL_DEADLINE: '8s' };
  await using service = await startCluster(['rr', 'nothing', '340'], { registration: '--import', env });
  const began = performance.now();
  assert.deepEqual(tally(await stopOnceConnected(service)), ALL_SERVED);
  assert.ok(performance.now() - began > 4_000);
  assert.deepEqual(await service.program.ended, ENDED_WELL);
});

test('control: a cluster without lastcall, whose workers are busy, resets the clients that are still with the primary', async (t) => {
  await using service = await startCluster(['rr', 'nothing', '50']);
  const { ECONNRESET = 0, ...others } = tally(await stopWhileBusy(service, () => {}));
  assert.ok(ECONNRESET >= 5, JSON.stringify({ ECONNRESET, ...others }));
  proof.lost(t, ECONNRESET);
});

/** Connects clients until each worker has at least one that waits for its answer. */
async function askUntilAllHold({ program, port, workers }: ClusterService): Promise<readonly Promise<string>[]> {
  const answers: Promise<string>[] = [];
  const holding = new Set<number>();
  while (holding.size < workers.length) {
    answers.push(askWhoServes(port, '/held'));
    holding.add((await program.next('holds')).pid);
  }
  return answers;
}

/** Sends SIGTERM when all clients are connected. The workers, which most clients have not reached, are held still until `isUnderWay`. */
async function stopWhileBusy(
  service: ClusterService,
  isUnderWay: () => unknown = () => service.program.next('gate'),
): Promise<readonly string[]> {
  using held = await holdWorkers(service.workers);
  return await stopOnceConnected(service, async () => {
    await isUnderWay();
    held.goOn();
  });
}

async function stopOnceConnected(
  { program, port }: ClusterService,
  afterwards: () => Promise<void> = async () => {},
): Promise<readonly string[]> {
  using clients = await connectClients(CLIENTS, { port, host: '127.0.0.1' });
  process.kill(program.pid, 'SIGTERM');
  await afterwards();
  return await clients.answers;
}
