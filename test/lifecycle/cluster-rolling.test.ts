import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { runStorm, type StormOptions, type StormResult } from '../../src/storm/storm.ts';
import { count } from '../harness/counts.ts';
import { type ClusterService, startCluster, toldBy } from './cluster-service.ts';
import { CLIENTS } from '../harness/storms.ts';

const WAYS = [
  { title: 'whose processes call lastCall', program: 'lastCall' },
  { title: 'that knows nothing, under register', program: 'nothing', registration: '--import' },
] as const;
const KEPT = { keepAlive: true, thinkTime: [50, 150] } as const;

for (const { title, program, ...registration } of WAYS) {
  suite(`one worker of three, stopped by SIGTERM, of a cluster ${title}`, () => {
    for (const policy of ['rr', 'none']) {
      test(`loses none of ${CLIENTS} kept connections, and the others serve on (SCHED_${policy.toUpperCase()})`, async (t) => {
        for (let seed = 1; seed <= count(10); seed += 1) {
          const service = await startCluster(t, [policy, program, '0'], registration);
          const { lost, counts } = await stopOneWorker(service, { ...KEPT, signal: t.signal, seed });
          assert.equal(lost, 0, JSON.stringify(counts));
          // It had clients when its stop began, and ended the connection of each.
          const [{ atStart = 0, ended = 0 } = {}] = toldBy('workers', service, 'report').map(
            ({ report }) => report?.connections ?? {},
          );
          assert.ok(atStart > 0 && ended >= atStart, `${ended} of ${atStart} ended`);
          assert.deepEqual(await stop(service), { code: 0, signal: null, stderr: '' });
        }
      });
    }

    // It learns late that the worker has closed, and sends it connections until then.
    test('loses no new connection that a busy primary sends it', async (t) => {
      for (let seed = 1; seed <= count(10); seed += 1) {
        const service = await startCluster(t, ['rr', program, '1', '30'], registration);
        const { lost, counts } = await stopOneWorker(service, { clients: 30, signal: t.signal, seed });
        assert.equal(lost, 0, JSON.stringify(counts));
        assert.deepEqual(await stop(service), { code: 0, signal: null, stderr: '' });
      }
    });
  });
}

test('control: one worker of a cluster without lastcall, stopped by SIGTERM, loses kept connections', async (t) => {
  const service = await startCluster(t, ['rr', 'nothing', '0']);
  // Those whom the primary sends to a worker that is gone wait for ever.
  const { lost, counts } = await stopOneWorker(service, { ...KEPT, timeout: 5_000, signal: t.signal });
  assert.ok(lost - counts.unanswered > 0, JSON.stringify(counts));
  t.diagnostic(`${lost} lost`);
});

/** In a storm, which goes on for a while without that worker. */
async function stopOneWorker(service: ClusterService, options: Partial<StormOptions>): Promise<StormResult> {
  const { clients = CLIENTS, ...others } = options;
  const [worker = 0] = service.workers;
  const storm = runStorm({
    target: { host: '127.0.0.1', port: service.port },
    clients,
    timeout: 30_000,
    duration: 60_000,
    ...others,
  });
  await storm.served(2 * clients);
  process.kill(worker, 'SIGTERM');
  await hasEnded(worker);
  await storm.served(storm.counts.served + clients);
  storm.stop();
  const result = await storm.finished;
  const { counts } = result;
  assert.deepEqual([counts.refused, counts.failed], [0, 0], JSON.stringify(counts));
  assert.deepEqual(toldBy('primary', service, 'gate'), []);
  return result;
}

/** Its parent, which is no test, has waited for it. */
async function hasEnded(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function stop({ program }: ClusterService): Promise<Awaited<typeof program.ended>> {
  process.kill(program.pid, 'SIGTERM');
  return program.ended;
}
