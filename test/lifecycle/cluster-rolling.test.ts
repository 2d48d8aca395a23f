import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { readTcpTable } from '../../src/linux/tables/proc-net.ts';
import { socketsOf } from '../../src/linux/process/processes.ts';
import { runStorm, type Storm, type StormOptions } from '../../src/storm/storm.ts';
import { count } from '../harness/counts.ts';
import { askWhoServes } from '../harness/observed-program.ts';
import { isAlive } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL } from '../harness/start-service.ts';
import type { Ended } from '../harness/observed-program.ts';
import { until, within } from '../harness/wait.ts';
import { type ClusterService, holdWorkers, startCluster, toldBy } from './cluster-service-driver.ts';
import { connectClients, tally } from './one-request.ts';

const WAYS = [
  { title: 'whose processes call lastCall', program: 'lastCall' },
  { title: 'that does not call lastCall, under register', program: 'nothing', registration: '--import' },
] as const;
const CLIENTS = 300;
/** The first one goes to the worker whose turn it is. */
const CLIENTS_OF_A_HELD_PRIMARY = 9;
/** In ms. Much less than a client waits. */
const ANSWERED_IN = 20_000;
/** Each worker reports the connections that the primary sends it. */
const WATCHED = 'lifecycle/waits-at-closing';
const WAITING = { WAITS_AT_CLOSING: 'yes' };
// net/tcp_states.h
const ESTABLISHED = 1;
/** While two workers are held still, each gets at most one client. The third one serves all others. */
const LEAST_KEPT = CLIENTS / 2 - 2;
const KEPT = { keepAlive: true, thinkTime: [100, 300] } as const;
/** In ms. Clients that the primary sends to a worker that has gone wait for ever. */
const CONTROL = { timeout: 5_000 } as const;

const keptProof = prove('kept connections of a cluster whose one worker is stopped');
const newProof = prove('new connections that a busy primary sends to a worker that is stopped');
const closedProof = prove('new connections that a primary sends to a worker that has closed');

for (const { title, program, ...registration } of WAYS) {
  suite(`one worker of three, stopped by SIGTERM, of a cluster ${title}`, () => {
    for (const policy of ['rr', 'none']) {
      test(`loses none of ${CLIENTS} kept connections, and the others serve on (SCHED_${policy.toUpperCase()})`, async (t) => {
        for (let seed = 1; seed <= count(10, 1); seed += 1) {
          await using service = await startCluster([policy, program, '0'], registration);
          const { lost, counts, kept } = await stopWithKeptConnections(service, { seed });
          assert.equal(lost, 0, counts);
          assert.ok(kept >= LEAST_KEPT, `${kept} kept connections`);
          // Clients that asked during its lame duck had left. It ended all other connections.
          const [report] = toldBy('workers', service, 'report').map((message) => message.report);
          const { atStart = 0, ended = 0 } = report?.connections ?? {};
          assert.ok(ended >= atStart, `${ended} of ${atStart} ended`);
          assert.deepEqual(await stop(service), ENDED_WELL);
          keptProof.held(t, { kept });
        }
      });
    }

    // The primary learns late that the worker has closed, and sends it connections until then.
    test('loses no new connection that a busy primary sends it', async (t) => {
      for (let seed = 1; seed <= count(10, 1); seed += 1) {
        await using service = await startCluster(['rr', program, '1', '30'], { ...registration, imports: [WATCHED] });
        const { lost, counts, sent } = await stopWithNewConnections(service, { seed });
        assert.equal(lost, 0, counts);
        assert.deepEqual(await stop(service), ENDED_WELL);
        assert.ok(sent > 0);
        newProof.held(t, { 'sent to the worker': sent });
      }
    });

    test('loses no new connection that the primary sends it when it has closed', async (t) => {
      await using service = await startCluster(['rr', program, '1'], {
        ...registration,
        imports: [WATCHED],
        env: WAITING,
      });
      const { program: primary, port } = service;
      const worker = await nextWorker(service);
      process.kill(worker, 'SIGTERM');
      await primary.next('may close');
      const before = countSent(worker, service);
      // When it sleeps, it has read all messages of the worker. New events reach it in their order: it accepts these clients before
      // it reads that the worker has closed.
      await until('the primary waits for events', () => isAsleep(primary.pid));
      using held = await holdWorkers([primary.pid]);
      using clients = await connectClients(CLIENTS_OF_A_HELD_PRIMARY, { host: '127.0.0.1', port });
      primary.order('go on');
      await primary.next('report');
      held.goOn();
      const answers = tally(await within('an answer to each client', clients.answers, ANSWERED_IN));
      assert.deepEqual(answers, { 'HTTP/1.1 200 OK': CLIENTS_OF_A_HELD_PRIMARY });
      await until('the worker has ended', () => !isAlive(worker));
      const sent = countSent(worker, service) - before;
      assert.equal(sent, 1);
      // The others do not wait.
      for (const _ of service.workers) primary.order('go on');
      assert.deepEqual(await stop(service), ENDED_WELL);
      closedProof.held(t, { 'sent to the worker': sent });
    });
  });
}

suite('control: one worker of a cluster without lastcall, stopped by SIGTERM,', () => {
  test('loses kept connections', async (t) => {
    await using service = await startCluster(['rr', 'nothing', '0']);
    const { lost, unanswered, counts, kept } = await stopWithKeptConnections(service, CONTROL);
    assert.ok(kept >= LEAST_KEPT, `${kept} kept connections`);
    assert.ok(lost - unanswered > 0, counts);
    keptProof.lost(t, lost);
  });

  test('loses a new connection that the primary has sent it', async (t) => {
    await using service = await startCluster(['rr', 'nothing', '1', '30']);
    const { lost } = await stopWithNewConnections(service, CONTROL);
    newProof.lost(t, lost);
  });

  test('loses a new connection that the primary sends it when it has ended', async (t) => {
    await using service = await startCluster(['rr', 'nothing', '1']);
    const { program: primary, port } = service;
    const worker = await nextWorker(service);
    using held = await holdWorkers([primary.pid]);
    using clients = await connectClients(CLIENTS_OF_A_HELD_PRIMARY, { host: '127.0.0.1', port });
    process.kill(worker, 'SIGTERM');
    await until('the worker has ended', () => !isAlive(worker));
    held.goOn();
    await until('all others are served', () => clients.answered === CLIENTS_OF_A_HELD_PRIMARY - 1);
    // It waits for ever. Its connection ends with the last process.
    process.kill(primary.pid, 'SIGTERM');
    const { 'HTTP/1.1 200 OK': served, ...lost } = tally(await clients.answers);
    assert.deepEqual({ served, lost }, { served: CLIENTS_OF_A_HELD_PRIMARY - 1, lost: { ECONNRESET: 1 } });
    closedProof.lost(t, 1);
  });
});

interface StoppedOne {
  readonly lost: number;
  readonly unanswered: number;
  /** All counts, for the message of an assertion. */
  readonly counts: string;
}

/**
 * Stops a worker that certainly has clients: while the others are held still, half of the clients come to it. (Each of the others
 * has at most one client, which the primary had sent it before.) When the signal comes, it has unread requests, and `kept`
 * connections.
 */
async function stopWithKeptConnections(
  service: ClusterService,
  options: Partial<StormOptions>,
): Promise<StoppedOne & { readonly kept: number }> {
  const [worker = 0, ...others] = service.workers;
  using held = await holdWorkers(others);
  const first = startStorm(service, { clients: CLIENTS / 2, ...KEPT, ...options });
  await until('the worker has these clients', () => countKept(worker, service.port) >= LEAST_KEPT);
  held.goOn();
  const second = startStorm(service, { clients: CLIENTS / 2, ...KEPT, ...options });
  await second.served(CLIENTS);
  using stopped = await holdWorkers([worker]);
  await until('clients have asked a worker that does not read', () => countUnread(service.port) >= CLIENTS / 10);
  const kept = countKept(worker, service.port);
  process.kill(worker, 'SIGTERM');
  stopped.goOn();
  return { ...(await goOnWithout(worker, service, [first, second])), kept };
}

/**
 * Stops a worker to which the primary has sent a connection that it has not accepted. It is held still until so many clients were
 * served that its turn has come. `sent`: how many connections it has reported since, if it reports them.
 */
async function stopWithNewConnections(
  service: ClusterService,
  options: Partial<StormOptions>,
): Promise<StoppedOne & { readonly sent: number }> {
  const [worker = 0] = service.workers;
  const clients = 30;
  const storm = startStorm(service, { clients, ...options });
  await storm.served(2 * clients);
  using held = await holdWorkers([worker]);
  const before = countSent(worker, service);
  await storm.served(storm.counts.served + 2 * clients);
  process.kill(worker, 'SIGTERM');
  held.goOn();
  const stopped = await goOnWithout(worker, service, [storm]);
  return { ...stopped, sent: countSent(worker, service) - before };
}

/** How many connections from the primary a worker has reported. */
function countSent(worker: number, service: ClusterService): number {
  return toldBy('workers', service, 'sent').filter(({ pid }) => pid === worker).length;
}

/** Lets each worker serve one client. The primary then begins with the first one again. Returns that one. */
async function nextWorker({ program, port, workers }: ClusterService): Promise<number> {
  const served: string[] = [];
  for (const _ of workers) {
    served.push(await askWhoServes(port));
    await until('the primary waits for events', () => isAsleep(program.pid));
  }
  assert.deepEqual(new Set(served), new Set(workers.map(String)));
  return Number(served[0]);
}

/** Whether the main thread of a process waits in the kernel (proc_pid_stat(5)). */
function isAsleep(pid: number): boolean {
  return /\) S [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
}

/** How many connections to this port a process has. */
function countKept(pid: number, port: number): number {
  const held = socketsOf(pid);
  return readTcpTable('IPv4').filter((row) => {
    return row.localPort === port && row.state === ESTABLISHED && held.has(row.inode);
  }).length;
}

/** How many connections to this port have data that the program has not read. */
function countUnread(port: number): number {
  return readTcpTable('IPv4').filter((row) => {
    return row.localPort === port && row.state === ESTABLISHED && row.receiveQueue > 0;
  }).length;
}

function startStorm({ port }: ClusterService, options: Partial<StormOptions> & { readonly clients: number }): Storm {
  return runStorm({ target: { host: '127.0.0.1', port }, timeout: 30_000, duration: 60_000, ...options });
}

/** Each storm goes on for a while after the worker has ended. */
async function goOnWithout(worker: number, service: ClusterService, storms: readonly Storm[]): Promise<StoppedOne> {
  // Its parent, not the test, waits for it.
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
    counts: JSON.stringify(results.map(({ counts, errors }) => ({ counts, errors }))),
  };
}

async function stop({ program }: ClusterService): Promise<Ended> {
  process.kill(program.pid, 'SIGTERM');
  return program.ended;
}
