import assert from 'node:assert/strict';
import type net from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeFolder } from '../harness/folders.ts';
import { askWhoServes, type Program } from '../harness/observed-program.ts';
import { isAlive } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL, type ServiceOptions, startService } from '../harness/start-service.ts';
import type { Ended } from '../harness/observed-program.ts';
import { holdWorkers } from './cluster-service-driver.ts';
import { connectClients, tally } from './one-request.ts';

/** In ms. Less than the deadline, which is 9 s by default. */
const SOON = 8_000;
const CLIENTS = 40;
const REGISTERED = { registration: '--import' } as const;
/** By an absolute address, which is valid in any working directory. */
const BY_ENVIRONMENT = { registration: 'NODE_OPTIONS' } as const;

suite('workers with their own listeners of SIGTERM, when only the primary gets it,', () => {
  test('run them after the drain', async () => {
    await using cluster = await start(['own listeners'], 2, REGISTERED);
    assert.deepEqual(await stop(cluster), ENDED_WELL);
    assert.equal(toldOf(cluster, 'listener').length, 2);
  });

  test('control: without lastcall end with their primary, and none runs', async () => {
    await using cluster = await start(['own listeners'], 2);
    assert.deepEqual(await stop(cluster), { code: null, signal: 'SIGTERM', stderr: '' });
    assert.equal(toldOf(cluster, 'listener').length, 0);
  });
});

suite('a stop of a cluster does not wait for workers that do not serve, and leaves none behind:', () => {
  for (const [title, way] of [
    ['one without a server', 'idle'],
    ['one that is in the middle of its start', 'starting'],
  ] as const) {
    test(title, async () => {
      await using cluster = await start([way], 1, REGISTERED);
      const { pid } = await cluster.program.next(way);
      assert.deepEqual(await stop(cluster), ENDED_WELL);
      assert.equal(isAlive(pid), false);
    });
  }

  test('control: without lastcall one without a server ends with its primary', async () => {
    await using cluster = await start(['idle'], 1);
    await cluster.program.next('idle');
    // By then all processes that have the program's output open have ended.
    assert.deepEqual(await stop(cluster), { code: null, signal: 'SIGTERM', stderr: '' });
  });
});

test('a worker that is killed in the lame duck and forked again serves until the others leave, and does not delay the stop', async () => {
  // Long enough for it to start, with a deadline so late that the stop does not end by it.
  const env = { LASTCALL_LAME_DUCK: '4s', LASTCALL_LAME_DUCK_MIN: '4s', LASTCALL_DEADLINE: '40s' };
  await using cluster = await start(['forks anew'], 2, { ...REGISTERED, env });
  const { program, workers } = cluster;
  const ended = stop(cluster, 20_000);
  for (;;) {
    const { pid, facts } = await program.next('state');
    if (pid === program.pid && facts?.state === 'lame duck') break;
  }
  process.kill(workers[0] ?? 0, 'SIGKILL');
  await program.next('forks anew');
  // The others have reported it before.
  for (let pid = workers[0]; workers.includes(pid ?? 0); ) pid = (await program.next('listening')).pid;
  const { code, signal, stderr } = await ended;
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
  // A worker that is forked at the very end may print that its primary has gone.
  const line = /^lastcall: Worker \d+ \(process (\d+)\) ended with SIGKILL before it had closed\n/;
  assert.equal(line.exec(stderr)?.[1], String(workers[0]), stderr);
  assert.equal(stderr.match(/^lastcall: /gm)?.length, 1, stderr);
});

test('workers whose lastCall has `exit: false` end when they have closed, and the primary with them', async () => {
  await using cluster = await start(['exit: false'], 2);
  assert.deepEqual(await stop(cluster), ENDED_WELL);
});

const hasIPv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));

suite("a cluster's listeners are found in its primary, and no client that waits for a busy worker is lost:", () => {
  for (const { title, way, gates, needs = true } of [
    { title: 'two of one port, of IPv4 and IPv6', way: 'both families', gates: ['refuse', 'refuse'], needs: hasIPv6 },
    { title: 'a Unix socket below the working directory', way: 'unix', gates: ['unix'] },
    { title: 'an IPv6 address in its long form', way: 'long address', gates: ['refuse'], needs: hasIPv6 },
  ]) {
    const skip = needs ? false : 'needs IPv6';
    const proof = prove(`clients of a cluster whose workers are busy, ${title}`);

    test(title, { skip }, async (t) => {
      await using cluster = await startWay(way, BY_ENVIRONMENT);
      assert.deepEqual(tally(await stopWhileBusy(cluster, 'gate')), { 'HTTP/1.1 200 OK': CLIENTS });
      assert.deepEqual(await cluster.program.ended, ENDED_WELL);
      const shut = toldOf(cluster, 'gate').filter(({ pid }) => pid === cluster.program.pid);
      assert.deepEqual(
        shut.map(({ facts }) => facts?.gate),
        gates,
      );
      // All gates shut in one turn of the loop. The primary has accepted all clients that are in no queue then.
      const queued = shut.reduce((sum, { facts }) => sum + Number(facts?.queued), 0);
      const inTransit = Number(shut[0]?.facts?.inTransit);
      assert.equal(queued + inTransit, CLIENTS);
      proof.held(t, { queued, 'in the primary': inTransit });
    });

    test(`${title}; control: without lastcall most are reset`, { skip }, async (t) => {
      await using cluster = await startWay(way, {});
      const { ECONNRESET = 0, ...others } = tally(await stopWhileBusy(cluster, undefined));
      assert.ok(ECONNRESET > CLIENTS / 2, JSON.stringify({ ECONNRESET, ...others }));
      proof.lost(t, ECONNRESET);
    });
  }
});

suite('a request under way in a worker with its own listener, when the whole group gets SIGTERM,', () => {
  const proof = prove('requests under way in workers with their own listeners');

  test('is answered', async (t) => {
    await using cluster = await start(['exclusive'], 2, REGISTERED);
    const { program, workers } = cluster;
    const answers = await askEach(cluster);
    process.kill(-program.pid, 'SIGTERM');
    for (const _ of workers) await program.next('gate');
    for (const worker of workers) process.kill(worker, 'SIGUSR2');
    assert.deepEqual(await Promise.all(answers), workers.map(String));
    assert.deepEqual(await program.ended, ENDED_WELL);
    proof.held(t, { 'under way': answers.length });
  });

  test('control: without lastcall is reset', async (t) => {
    await using cluster = await start(['exclusive'], 2);
    const answers = await askEach(cluster);
    process.kill(-cluster.program.pid, 'SIGTERM');
    assert.deepEqual(await Promise.all(answers), ['ECONNRESET', 'ECONNRESET']);
    proof.lost(t, answers.length);
  });
});

interface Cluster extends AsyncDisposable {
  readonly program: Program;
  readonly workers: readonly number[];
  readonly ports: readonly number[];
}

/** Resolves when the primary knows that `serving` workers serve. */
async function start(args: readonly string[], serving: number, options: ServiceOptions = {}): Promise<Cluster> {
  const program = startService('lifecycle/cluster-workers', { ...options, args, ownGroup: true });
  const workers: number[] = [];
  const ports: number[] = [];
  while (workers.length < serving) {
    const { facts } = await program.next('serves');
    workers.push(Number(facts?.pid));
    ports.push(Number(facts?.port));
  }
  return { program, workers, ports, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

/** A cluster that listens in this way, and where. */
async function startWay(way: string, options: ServiceOptions): Promise<Cluster & { targets: net.NetConnectOpts[] }> {
  if (way !== 'unix') {
    const cluster = await start([way], 2, options);
    const hosts = way === 'both families' ? ['127.0.0.1', '::1'] : ['::1'];
    return { ...cluster, targets: hosts.map((host) => ({ host, port: cluster.ports[0] ?? 0 })) };
  }
  const folder = makeFolder();
  const path = join(folder.path, 'socket');
  const cluster = await start([way, path], 2, options);
  return {
    ...cluster,
    targets: [{ path }],
    [Symbol.asyncDispose]: async () => {
      await cluster[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** Sends SIGTERM to the primary alone. Asserts that the cluster ends soon, and returns how. */
async function stop({ program }: Cluster, soon = SOON): Promise<Ended> {
  const began = performance.now();
  process.kill(program.pid, 'SIGTERM');
  const ended = await program.ended;
  assert.ok(performance.now() - began < soon, `${performance.now() - began} ms`);
  return ended;
}

/**
 * Sends SIGTERM when all clients are connected, while both workers are held still: each has at most one client, which the primary
 * has sent it. They go on when the primary has reported that the stop is `underWay`, or at once.
 */
async function stopWhileBusy(
  { program, workers, targets }: Awaited<ReturnType<typeof startWay>>,
  underWay: string | undefined,
): Promise<readonly string[]> {
  using held = await holdWorkers(workers);
  using clients = await connectClients(CLIENTS, ...targets);
  process.kill(program.pid, 'SIGTERM');
  if (underWay !== undefined) await program.next(underWay);
  held.goOn();
  return await clients.answers;
}

/** Sends each worker a request that it does not answer yet. */
async function askEach({ program, ports }: Cluster): Promise<readonly Promise<string>[]> {
  assert.equal(new Set(ports).size, 2);
  const answers = ports.map((port) => askWhoServes(port, '/held'));
  for (const _ of answers) await program.next('/held');
  return answers;
}

function toldOf({ program }: Cluster, tell: string): Program['history'] {
  return program.history.filter((told) => told.tell === tell);
}
