import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { askWhoServes, type Ended, type Program } from '../harness/observed-program.ts';
import { type ServiceOptions, startService } from '../harness/start-service.ts';

/** In milliseconds: well below the deadline. */
const SOON = 5_000;
const CLIENTS = 40;
const REGISTERED = { registration: '--import' } as const;
/** By an absolute address, which holds in any working directory. */
const BY_ENVIRONMENT = { registration: 'NODE_OPTIONS' } as const;
const ENDED_WELL = { code: 0, signal: null, stderr: '' };

suite('workers with their own listeners of SIGTERM, when the primary alone gets it,', () => {
  test('have them run after the drain', async (t) => {
    const { program } = await start(t, ['own listeners'], 2, REGISTERED);
    assert.deepEqual(await stop(program), ENDED_WELL);
    assert.equal(toldOf(program, 'listener').length, 2);
  });

  test('control: without lastcall end with their primary, and none runs', async (t) => {
    const { program } = await start(t, ['own listeners'], 2);
    assert.deepEqual(await stop(program), { code: null, signal: 'SIGTERM', stderr: '' });
    assert.equal(toldOf(program, 'listener').length, 0);
  });
});

suite('a stop of a cluster waits for no worker that serves nobody, and leaves none behind:', () => {
  for (const [title, way] of [
    ['one without a server', 'idle'],
    ['one that is in the middle of its start', 'starting'],
  ] as const) {
    test(title, async (t) => {
      const { program } = await start(t, [way], 1, REGISTERED);
      const { pid } = await program.next(way);
      assert.deepEqual(await stop(program), ENDED_WELL);
      assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
    });
  }

  test('control: without lastcall one without a server ends with its primary', async (t) => {
    const { program } = await start(t, ['idle'], 1);
    await program.next('idle');
    // Whoever has the program's output open has ended by then.
    assert.deepEqual(await stop(program), { code: null, signal: 'SIGTERM', stderr: '' });
  });
});

test('a worker that is killed in the lame duck and forked anew serves until the others leave, and does not keep the stop', async (t) => {
  const env = { LASTCALL_LAME_DUCK: '2s', LASTCALL_LAME_DUCK_MIN: '2s' };
  const { program, workers } = await start(t, ['forks anew'], 2, { ...REGISTERED, env });
  const ended = stop(program);
  for (;;) {
    const { pid, facts } = await program.next('state');
    if (pid === program.pid && facts?.state === 'lame duck') break;
  }
  process.kill(workers[0] ?? 0, 'SIGKILL');
  await program.next('forks anew');
  // The others have told it before.
  for (let pid = workers[0]; workers.includes(pid ?? 0); ) pid = (await program.next('listening')).pid;
  const { code, signal, stderr } = await ended;
  assert.deepEqual([code, signal], [0, null]);
  // One that is forked at the very end may tell that its primary has gone.
  const line = /^lastcall: Worker \d+ \(process (\d+)\) ended with SIGKILL before it had closed\n/;
  assert.equal(line.exec(stderr)?.[1], String(workers[0]), stderr);
  assert.equal(stderr.match(/^lastcall: /gm)?.length, 1, stderr);
});

test('workers whose lastCall has `exit: false` end when they have closed, and the primary with them', async (t) => {
  const { program } = await start(t, ['exit: false'], 2);
  assert.deepEqual(await stop(program), ENDED_WELL);
});

const hasIPv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));

suite("a cluster's listeners are found in its primary, and nobody who waits for a busy worker is lost:", () => {
  for (const { title, way, gates, needs = true } of [
    { title: 'two of one port, of IPv4 and IPv6', way: 'both families', gates: ['refuse', 'refuse'], needs: hasIPv6 },
    { title: 'a Unix socket below the working directory', way: 'unix', gates: ['unix'] },
    { title: 'an IPv6 address in its long form', way: 'long address', gates: ['refuse'], needs: hasIPv6 },
  ]) {
    const skip = needs ? false : 'no IPv6 here';
    test(title, { skip }, async (t) => {
      const { program, answers } = await stopWhileBusy(t, way, BY_ENVIRONMENT);
      assert.deepEqual(new Set(answers), new Set(['HTTP/1.1 200 OK']));
      assert.deepEqual(await program.ended, ENDED_WELL);
      const shut = toldOf(program, 'gate').filter(({ pid }) => pid === program.pid);
      assert.deepEqual(
        shut.map(({ facts }) => facts?.gate),
        gates,
      );
    });

    test(`${title}; control: without lastcall most are reset`, { skip }, async (t) => {
      const { answers } = await stopWhileBusy(t, way, {});
      assert.ok(answers.filter((answer) => answer === 'ECONNRESET').length > CLIENTS / 2, answers.join());
    });
  }
});

suite('a request under way in a worker with a listener of its own, when the whole group gets SIGTERM,', () => {
  test('is answered', async (t) => {
    const { program, workers, answers } = await askExclusive(t, REGISTERED);
    process.kill(-program.pid, 'SIGTERM');
    for (const _ of workers) await program.next('gate');
    for (const worker of workers) process.kill(worker, 'SIGUSR2');
    assert.deepEqual(await Promise.all(answers), workers.map(String));
    assert.deepEqual(await program.ended, ENDED_WELL);
  });

  test('control: without lastcall is reset', async (t) => {
    const { program, answers } = await askExclusive(t, {});
    process.kill(-program.pid, 'SIGTERM');
    assert.deepEqual(await Promise.all(answers), ['ECONNRESET', 'ECONNRESET']);
  });
});

interface Cluster {
  readonly program: Program;
  readonly workers: readonly number[];
  readonly ports: readonly number[];
}

/** Resolves when the primary knows that so many workers serve. */
async function start(
  t: TestContext,
  args: readonly string[],
  serving: number,
  options: ServiceOptions = {},
): Promise<Cluster> {
  const program = startService(t, 'lifecycle/cluster-workers.js', { ...options, args, ownGroup: true });
  const workers: number[] = [];
  const ports: number[] = [];
  while (workers.length < serving) {
    const { facts } = await program.next('serves');
    workers.push(Number(facts?.pid));
    ports.push(Number(facts?.port));
  }
  return { program, workers, ports };
}

/** SIGTERM to the primary alone. How all of it has ended, which has to be soon. */
async function stop(program: Program): Promise<Ended> {
  const began = performance.now();
  process.kill(program.pid, 'SIGTERM');
  const ended = await program.ended;
  assert.ok(performance.now() - began < SOON, `${performance.now() - began} ms`);
  return ended;
}

/** SIGTERM when both workers are busy, and all clients are connected: most of them have not reached a worker. */
async function stopWhileBusy(
  t: TestContext,
  way: string,
  options: ServiceOptions,
): Promise<{ readonly program: Program; readonly answers: readonly string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'lastcall-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'socket');
  const { program, ports } = await start(t, way === 'unix' ? [way, path] : [way], 2, options);
  const port = ports[0] ?? 0;
  const hosts = way === 'both families' ? ['127.0.0.1', '::1'] : ['::1'];
  const targets = way === 'unix' ? [{ path }] : hosts.map((host) => ({ host, port }));
  const busy = new Set<number>();
  const busying: Promise<string>[] = [];
  while (busy.size < 2) {
    busying.push(askAt(targets[0] ?? { port }, '/busy').answer);
    busy.add((await program.next('/busy')).pid);
  }
  const clients = Array.from({ length: CLIENTS }, (_, at) => askAt(targets[at % targets.length] ?? { port }, '/'));
  await Promise.all(clients.map(({ connected }) => connected));
  process.kill(program.pid, 'SIGTERM');
  return { program, answers: await Promise.all([...busying, ...clients.map(({ answer }) => answer)]) };
}

/** A client that has sent a request; its response's first line, or the error's code. */
function askAt(target: net.NetConnectOpts, path: string): { connected: Promise<unknown>; answer: Promise<string> } {
  const socket = net.connect(target);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  const answer = new Promise<string>((resolve) => {
    let text = '';
    socket.on('data', (bytes) => (text += bytes.toString()));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('end', () => resolve(text.split('\r\n', 1)[0] ?? ''));
  });
  return { connected: once(socket, 'connect'), answer };
}

/** Each worker has a request that it has not answered. */
async function askExclusive(
  t: TestContext,
  options: ServiceOptions,
): Promise<Cluster & { readonly answers: readonly Promise<string>[] }> {
  const cluster = await start(t, ['exclusive'], 2, options);
  assert.equal(new Set(cluster.ports).size, 2);
  const answers = cluster.ports.map((port) => askWhoServes(port, '/held'));
  for (const _ of answers) await cluster.program.next('/held');
  return { ...cluster, answers };
}

function toldOf({ history }: Program, tell: string): Program['history'] {
  return history.filter((told) => told.tell === tell);
}
