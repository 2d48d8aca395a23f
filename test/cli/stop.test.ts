import assert from 'node:assert/strict';
import type { StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StopReport } from '../../src/program/report.ts';
import { descriptorOf } from '../../src/node-fields.ts';
import { NEEDS_ROOT } from '../linux/run-child.ts';
import { holdStill, isAlive, startForeign } from '../program/foreign-program.ts';
import {
  type Ended,
  findPort,
  isAccepted,
  MAIN,
  start,
  startLastcall,
  untilAccepted,
} from '../harness/lastcall-command.ts';
import { makeFolder } from '../program/programs.ts';
import { queueClients, tally } from '../program/queued-clients.ts';

const OUTLIVED = fileURLToPath(new URL('../../../test/program/programs/outlived.py', import.meta.url));
const CLIENTS = 10;
const HOST = '127.0.0.1';

/** Who may look into nothing of root's. */
const AS_NOBODY = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'] as const;
const WITHOUT_REOPENING = ['setpriv', '--bounding-set', '-net_raw', '--inh-caps', '-net_raw'] as const;

function stopBelow(t: TestContext, before: readonly string[], ...args: readonly string[]): Promise<Ended> {
  return start(t, [...before, process.execPath, MAIN, 'stop', ...args]).ended;
}

function reportOf({ stdout, stderr }: Ended): StopReport {
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout);
}

suite('a program that runs already', () => {
  for (const by of ['its port', 'its number', 'its Unix path'] as const) {
    test(`named by ${by}, is stopped without losing who is queued`, async (t) => {
      const path = join(makeFolder(t), 'app.sock');
      const target = by === 'its Unix path' ? { path } : { port: await findPort(), host: HOST };
      const running = await startForeign(t, { listen: [target] });
      const still = holdStill(t, running.pid);
      const clients = await queueClients(t, CLIENTS, target);
      const name = { 'its port': `:${target.port}`, 'its number': String(running.pid), 'its Unix path': path }[by];
      // A Unix listener has no way back.
      const stopping = startLastcall(t, ['stop', name, '--json', ...(by === 'its Unix path' ? ['--kill'] : [])]);
      await untilAccepted(t, target, false);
      still.goOn();
      assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
      const ended = await stopping.ended;
      assert.equal(ended.code, 0, ended.stderr);
      const { outcome, listeners, signalled } = reportOf(ended);
      assert.deepEqual(
        [outcome, signalled?.signal, listeners.length, listeners[0]?.left],
        ['complete', 'SIGTERM', 1, 0],
      );
      assert.equal(listeners[0]?.gate, by === 'its Unix path' ? 'unix' : 'refuse');
      assert.equal((await running.ended).code, 0);
    });
  }

  test('control: sent the signal plainly, it loses them', async (t) => {
    const target = { port: await findPort(), host: HOST };
    const running = await startForeign(t, { listen: [target] });
    const still = holdStill(t, running.pid);
    const clients = await queueClients(t, CLIENTS, target);
    process.kill(running.pid, 'SIGTERM');
    still.goOn();
    const outcomes = tally(await clients.outcomes);
    assert.ok((outcomes.served ?? 0) < CLIENTS, JSON.stringify(outcomes));
  });
});

suite('a program that lives on at the deadline', { skip: NEEDS_ROOT }, () => {
  test('has its gates opened again: clients get in, and are served', async (t) => {
    const target = { port: await findPort(), host: HOST };
    const running = await startForeign(t, { listen: [target], atSignal: 'ignore' });
    const stopping = startLastcall(t, ['stop', String(running.pid), '--deadline', '1s', '--json']);
    await untilAccepted(t, target, false);
    const ended = await stopping.ended;
    const { outcome, notes, listeners } = reportOf(ended);
    assert.deepEqual([ended.code, outcome, listeners[0]?.gate], [1, 'still running', 'refuse'], ended.stderr);
    assert.deepEqual(notes, ['it lives on, and its gates are open again']);
    const clients = await queueClients(t, 1, target);
    assert.deepEqual(await clients.outcomes, ['served']);
  });

  test('is killed with --kill', async (t) => {
    const target = { port: await findPort(), host: HOST };
    const running = await startForeign(t, { listen: [target], atSignal: 'ignore' });
    const ended = await startLastcall(t, ['stop', String(running.pid), '--deadline', '1s', '--kill', '--json']).ended;
    assert.deepEqual([ended.code, reportOf(ended).outcome], [1, 'killed'], ended.stderr);
    assert.equal((await running.ended).signal, 'SIGKILL');
  });

  test('has no gate shut where it could not be opened again, and none may kill it', async (t) => {
    const target = { port: await findPort(), host: HOST };
    const running = await startForeign(t, { listen: [target], atSignal: 'ignore' });
    const stopping = stopBelow(t, WITHOUT_REOPENING, String(running.pid), '--deadline', '1s', '--json');
    await running.says(/^SIGTERM$/m);
    assert.equal(await isAccepted(target), true);
    const ended = await stopping;
    const { outcome, notes, listeners } = reportOf(ended);
    assert.deepEqual([ended.code, outcome, listeners], [1, 'still running', []], ended.stderr);
    assert.match(notes.join(), /^no gate was shut: without CAP_NET_RAW .* --kill allows it$/);
  });
});

suite('a program whose worker outlives it, and has its listener', { skip: NEEDS_ROOT }, () => {
  async function startOutlived(t: TestContext): Promise<{ pid: number; worker: number; port: number }> {
    const port = await findPort();
    const running = start(t, ['/usr/bin/python3', OUTLIVED, String(port)]);
    const [, worker] = await running.says(/^worker (\d+)$/m);
    t.after(() => isAlive(Number(worker)) && process.kill(Number(worker), 'SIGKILL'));
    return { pid: running.pid, worker: Number(worker), port };
  }

  test('is not left behind a shut gate: it is open again at the deadline', async (t) => {
    const { pid, worker, port } = await startOutlived(t);
    const ended = await startLastcall(t, ['stop', String(pid), '--deadline', '1s', '--json']).ended;
    assert.deepEqual([ended.code, reportOf(ended).outcome, isAlive(pid)], [1, 'still running', false]);
    assert.ok(isAlive(worker) && (await isAccepted({ host: HOST, port })));
  });

  test('is killed with it by --kill', async (t) => {
    const { pid, worker } = await startOutlived(t);
    const ended = await startLastcall(t, ['stop', String(pid), '--deadline', '1s', '--json', '--kill']).ended;
    assert.deepEqual([ended.code, reportOf(ended).outcome], [1, 'killed']);
    assert.deepEqual([isAlive(pid), isAlive(worker)], [false, false]);
  });
});

test('Ctrl-C twice ends a stop of a program that lives on, with its gates open again', {
  skip: NEEDS_ROOT,
}, async (t) => {
  const target = { host: HOST, port: await findPort() };
  const running = await startForeign(t, { listen: [target], atSignal: 'ignore' });
  const stopping = startLastcall(t, ['stop', String(running.pid), '--json']);
  await untilAccepted(t, target, false);
  process.kill(stopping.pid, 'SIGINT');
  await running.says(/SIGTERM/);
  // One that comes sooner counts as the first.
  const again = setInterval(() => isAlive(stopping.pid) && process.kill(stopping.pid, 'SIGINT'), 100);
  t.after(() => clearInterval(again));
  const ended = await stopping.ended;
  assert.deepEqual([ended.code, reportOf(ended).outcome], [1, 'still running']);
  assert.ok(await isAccepted(target));
});

test('two stops at a time leave the gates open, too', { skip: NEEDS_ROOT }, async (t) => {
  const target = { host: HOST, port: await findPort() };
  const running = await startForeign(t, { listen: [target], atSignal: 'ignore' });
  const line = ['stop', String(running.pid), '--deadline', '1s'];
  const first = startLastcall(t, line);
  await untilAccepted(t, target, false);
  const second = startLastcall(t, line);
  await Promise.all([first.ended, second.ended]);
  assert.ok(await isAccepted(target));
});

test('stop that is killed by SIGKILL sends the program the signal with its last breath', async (t) => {
  const target = { port: await findPort(), host: HOST };
  const running = await startForeign(t, { listen: [target] });
  const still = holdStill(t, running.pid);
  const clients = await queueClients(t, 1, target);
  const stopping = startLastcall(t, ['stop', String(running.pid)]);
  await untilAccepted(t, target, false);
  process.kill(stopping.pid, 'SIGKILL');
  await stopping.ended;
  still.goOn();
  assert.equal((await running.ended).code, 0);
  await clients.outcomes;
});

suite('what is not the program’s own is not gated', { skip: NEEDS_ROOT }, () => {
  test('a listener that an activator passed, which may not be looked into', async (t) => {
    const { server, fd } = await listen(t);
    const env = { LISTEN_FDS: '1' };
    const stdio: StdioOptions = ['pipe', 'pipe', 'pipe', fd];
    const running = await startForeign(t, { inherits: true }, { before: AS_NOBODY, env, stdio });
    const ended = await stopBelow(t, AS_NOBODY, String(running.program), '--kill', '--json');
    const { outcome, listeners } = reportOf(ended);
    assert.deepEqual([ended.code, outcome], [0, 'complete'], ended.stderr);
    assert.deepEqual(
      listeners.map(({ gate, reason }) => [gate, reason]),
      [['shared', 'an activator passed it (LISTEN_FDS)']],
    );
    await assertOpen(server);
  });

  test('a listener of another user that came without a word', async (t) => {
    const { server, fd } = await listen(t);
    const running = await startForeign(
      t,
      { inherits: true },
      { before: AS_NOBODY, stdio: ['pipe', 'pipe', 'pipe', fd] },
    );
    const ended = await stopBelow(t, AS_NOBODY, String(running.program), '--kill', '--json');
    const { outcome, listeners } = reportOf(ended);
    assert.deepEqual([ended.code, outcome, listeners[0]?.gate], [0, 'complete', 'shared'], ended.stderr);
    assert.match(listeners[0]?.reason ?? '', /^user 0 made it, whose processes cannot be looked into$/);
    await assertOpen(server);
  });

  test('a listener that a process outside of the program’s tree holds', async (t) => {
    const { server, fd } = await listen(t);
    const running = await startForeign(t, { inherits: true }, { stdio: ['pipe', 'pipe', 'pipe', fd] });
    const ended = await startLastcall(t, ['stop', String(running.pid), '--kill', '--json']).ended;
    const { listeners } = reportOf(ended);
    assert.deepEqual([ended.code, listeners[0]?.gate], [0, 'shared'], ended.stderr);
    assert.match(listeners[0]?.reason ?? '', new RegExp(`^process ${process.pid}\\b.* holds it too$`));
    await assertOpen(server);
  });
});

suite('without the right', { skip: NEEDS_ROOT }, () => {
  test('to signal the program nothing is done, and the exit code is 77', async (t) => {
    const target = { port: await findPort(), host: HOST };
    const running = await startForeign(t, { listen: [target] });
    const byNumber = await stopBelow(t, AS_NOBODY, String(running.pid), '--kill');
    assert.deepEqual([byNumber.code, byNumber.stdout], [77, '']);
    assert.match(byNumber.stderr, /may not be signalled by this user/);
    const byPort = await stopBelow(t, AS_NOBODY, `:${target.port}`);
    assert.equal(byPort.code, 77);
    assert.match(byPort.stderr, /cannot be seen by this user/);
    assert.deepEqual([isAlive(running.pid), await isAccepted(target)], [true, true]);
  });

  test('to look into the program it is sent the signal only, and the way out is told', async (t) => {
    const target = { port: await findPort(), host: HOST };
    const running = await startForeign(t, { listen: [target], becomes: 65_534 });
    const ended = await stopBelow(t, AS_NOBODY, String(running.pid), '--kill', '--json');
    const { outcome, notes, listeners } = reportOf(ended);
    assert.deepEqual([ended.code, outcome], [0, 'complete'], ended.stderr);
    assert.deepEqual(listeners, []);
    assert.match(notes.join(), /cannot be looked into: CAP_SYS_PTRACE would allow it/);
    assert.equal((await running.ended).code, 0);
  });
});

test('a port that several programs hold stops none of them: they are listed', async (t) => {
  const port = await findPort();
  const first = await startForeign(t, { listen: [{ port, host: '127.0.0.1' }] });
  const second = await startForeign(t, { listen: [{ port, host: '127.0.0.2' }] });
  const { code, stderr } = await startLastcall(t, ['stop', `:${port}`]).ended;
  assert.equal(code, 2);
  assert.match(stderr, new RegExp(`several processes, name one of them: .*${first.pid} \\(.*, ${second.pid} \\(`));
  assert.deepEqual([isAlive(first.pid), isAlive(second.pid)], [true, true]);
});

test('a program in another network namespace is gated, and counted there', { skip: NEEDS_ROOT }, async (t) => {
  const port = await findPort();
  const before = ['unshare', '--net', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh'];
  const running = await startForeign(t, { listen: [{ port, host: HOST }] }, { before });
  const ended = await startLastcall(t, ['stop', String(running.program), '--json']).ended;
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(
    reportOf(ended).listeners.map(({ address, gate }) => [address, gate]),
    [[`${HOST}:${port}`, 'refuse']],
  );
});

test('the report goes to a file, and words to the terminal', async (t) => {
  const file = join(makeFolder(t), 'report.json');
  const target = { port: await findPort(), host: HOST };
  const running = await startForeign(t, { listen: [target] });
  const { code, stdout } = await startLastcall(t, ['stop', String(running.pid), '--report', file]).ended;
  assert.equal(code, 0);
  assert.match(stdout, /stopped in \d+\.\d\d s, SIGTERM after \d+\.\d\d s/);
  assert.match(stdout, new RegExp(`^ {2}127\\.0\\.0\\.1:${target.port} +refuse +0 queued +0 half-open +0 left$`, 'm'));
  const report: StopReport = JSON.parse(readFileSync(file, 'utf8'));
  assert.deepEqual([report.outcome, report.reason, report.program.pid], ['complete', 'lastcall stop', running.pid]);
});

interface Listening {
  readonly server: net.Server;
  readonly fd: number;
}

async function listen(t: TestContext): Promise<Listening> {
  const server = net.createServer((socket) => socket.on('error', () => {}).end('outside')).listen(0, HOST);
  t.after(() => server.close());
  await once(server, 'listening');
  const fd = descriptorOf(server);
  if (fd === undefined) throw new Error('no descriptor');
  return { server, fd };
}

/** Whoever else holds it goes on as before. */
async function assertOpen(server: net.Server): Promise<void> {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  await sleep(10);
  assert.equal(await isAccepted({ port: address.port, host: HOST }), true);
}
