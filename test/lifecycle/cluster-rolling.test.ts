import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { readTcpTable } from '../../src/linux/proc-net.ts';
import { runStorm, type Storm, type StormOptions } from '../../src/storm/storm.ts';
import { count } from '../harness/counts.ts';
import { isAlive } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL, type End, endOf } from '../harness/start-service.ts';
import { until } from '../harness/wait.ts';
import { type ClusterService, holdWorkers, startCluster, toldBy } from './cluster-service-driver.ts';

const WAYS = [
  { title: 'whose processes call lastCall', program: 'lastCall' },
  { title: 'that knows nothing, under register', program: 'nothing', registration: '--import' },
] as const;
const CLIENTS = 300;
// net/tcp_states.h
const ESTABLISHED = 1;
const KEPT = { keepAlive: true, thinkTime: [100, 300] } as const;
/** Those whom the primary sends to a worker that is gone wait for ever. In milliseconds. */
const CONTROL = { timeout: 5_000 } as const;

const keptProof = prove('kept connections of a cluster whose one worker is stopped');
const newProof = prove('new connections that a busy primary sends to a worker that is stopped');

for (const { title, program, ...registration } of WAYS) {
  suite(`one worker of three, stopped by SIGTERM, of a cluster ${title}`, () => {
    for (const policy of ['rr', 'none']) {
      test(`loses none of ${CLIENTS} kept connections, and the others serve on (SCHED_${policy.toUpperCase()})`, async (t) => {
        for (let seed = 1; seed <= count(10, 1); seed += 1) {
          await using service = await startCluster([policy, program, '0'], registration);
          const { lost, told } = await stopWithKeptConnections(service, { seed });
          assert.equal(lost, 0, told);
          // It had clients when its stop began, and ended the connection of each.
          const [report] = toldBy('workers', service, 'report').map((message) => message.report);
          const { atStart = 0, ended = 0 } = report?.connections ?? {};
          assert.ok(atStart > 0 && ended >= atStart, `${ended} of ${atStart} ended`);
          assert.deepEqual(await stop(service), ENDED_WELL);
          keptProof.held(t, { connected: atStart });
        }
      });
    }

    // It learns late that the worker has closed, and sends it connections until then.
    test('loses no new connection that a busy primary sends it', async (t) => {
      for (let seed = 1; seed <= count(10, 1); seed += 1) {
        await using service = await startCluster(['rr', program, '1', '30'], registration);
        const { lost, told } = await stopWithNewConnections(service, { seed });
        assert.equal(lost, 0, told);
        assert.deepEqual(await stop(service), ENDED_WELL);
        newProof.held(t, { 'sent to the worker': 1 });
      }
    });
  });
}

suite('control: one worker of a cluster without lastcall, stopped by SIGTERM,', () => {
  test('loses kept connections', async (t) => {
    await using service = await startCluster(['rr', 'nothing', '0']);
    const { lost, unanswered, told } = await stopWithKeptConnections(service, CONTROL);
    assert.ok(lost - unanswered > 0, told);
    keptProof.lost(t, lost);
  });

  test('loses a new connection that the primary has sent it', async (t) => {
    await using service = await startCluster(['rr', 'nothing', '1', '30']);
    const { lost } = await stopWithNewConnections(service, CONTROL);
    newProof.lost(t, lost);
  });
});

interface StoppedOne {
  readonly lost: number;
  readonly unanswered: number;
  /** All that was counted, for an assertion's message. */
  readonly told: string;
}

/**
 * Stops a worker that has clients for sure: while the others are held still, half of the clients come to it. (Each of the others
 * has at most the one whom a primary had sent it already.) When the signal comes, requests are unread.
 */
async function stopWithKeptConnections(service: ClusterService, options: Partial<StormOptions>): Promise<StoppedOne> {
  const [worker = 0, ...others] = service.workers;
  using held = await holdWorkers(others);
  const first = startStorm(service, { clients: CLIENTS / 2, ...KEPT, ...options });
  await first.served(CLIENTS / 2);
  held.goOn();
  const second = startStorm(service, { clients: CLIENTS / 2, ...KEPT, ...options });
  await second.served(CLIENTS);
  using stopped = await holdWorkers([worker]);
  await until('clients have asked a worker that does not read', () => countUnread(service.port) >= CLIENTS / 10);
  process.kill(worker, 'SIGTERM');
  stopped.goOn();
  return goOnWithout(worker, service, [first, second]);
}

/**
 * Stops a worker to which the primary has sent a connection that it has not accepted: it is held still until more clients were
 * served than the primary can serve without coming to its turn.
 */
async function stopWithNewConnections(service: ClusterService, options: Partial<StormOptions>): Promise<StoppedOne> {
  const [worker = 0] = service.workers;
  const clients = 30;
  const storm = startStorm(service, { clients, ...options });
  await storm.served(2 * clients);
  using held = await holdWorkers([worker]);
  await storm.served(storm.counts.served + 2 * clients);
  process.kill(worker, 'SIGTERM');
  held.goOn();
  return goOnWithout(worker, service, [storm]);
}

/** How many connections to this port have sent what the program has not read. */
function countUnread(port: number): number {
  return readTcpTable('IPv4').filter((row) => {
    return row.localPort === port && row.state === ESTABLISHED && row.receiveQueue > 0;
  }).length;
}

function startStorm({ port }: ClusterService, options: Partial<StormOptions> & { readonly clients: number }): Storm {
  return runStorm({ target: { host: '127.0.0.1', port }, timeout: 30_000, duration: 60_000, ...options });
}

/** Each storm goes on for a while when the worker has ended. */
async function goOnWithout(worker: number, service: ClusterService, storms: readonly Storm[]): Promise<StoppedOne> {
  // Its parent, which is no test, waits for it.
  await until('the worker has ended', () => !isAlive(worker));
  await Promise.all(storms.map((storm) => storm.served(storm.counts.served + CLIENTS / 2)));
  for (const storm of storms) storm.stop();
  const results = await Promise.all(storms.map((storm) => storm.finished));
  for (const { counts } of results) {
    const { refused, failed } = counts;
    assert.deepEqual({ refused, failed }, { refused: 0, failed: 0 }, JSON.stringify(counts));
  }
  assert.deepEqual(toldBy('primary', service, 'gate'), []);
  return {
    lost: results.reduce((sum, { lost }) => sum + lost, 0),
    unanswered: results.reduce((sum, { counts }) => sum + counts.unanswered, 0),
    told: JSON.stringify(results.map(({ counts, errors }) => ({ counts, errors }))),
  };
}

async function stop({ program }: ClusterService): Promise<End> {
  process.kill(program.pid, 'SIGTERM');
  return endOf(program);
}
