// Tests that need root: gates that are opened again, other users, namespaces.
import assert from 'node:assert/strict';
import type { StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { descriptorOf } from '../../src/node/fields.ts';
import { AS_NOBODY, startLastcall } from '../harness/lastcall-command.ts';
import { needsNamespaces, needsPrograms, needsRoot } from '../harness/needs.ts';
import { freePort, isAccepted, portOf, untilAccepted } from '../harness/ports.ts';
import { isAlive, startCommand } from '../harness/processes.ts';
import { Scope } from '../harness/scope.ts';
import { startForeign } from '../program/foreign-program-driver.ts';
import { queueClients } from '../program/queued-clients.ts';
import { assertEnded, reportOf, stop, stopBelow } from './stop-to-the-end.ts';

const OUTLIVED = fileURLToPath(new URL('../../../test/program/programs/outlived.py', import.meta.url));
const PYTHON = '/usr/bin/python3';
const HOST = '127.0.0.1';
const WITHOUT_REOPENING = ['setpriv', '--bounding-set', '-net_raw', '--inh-caps', '-net_raw'] as const;

suite('a program that is still running at the deadline', { skip: needsRoot }, () => {
  test('has its gates opened again: new clients connect, and are served', async () => {
    const target = { port: await freePort(), host: HOST };
    await using running = await startForeign({ listen: [target], atSignal: 'ignore' });
    await using stopping = startLastcall(['stop', String(running.pid), '--deadline', '1s', '--json']);
    await untilAccepted(target, false);
    const ended = await stopping.ended;
    const { outcome, notes, listeners } = reportOf(ended);
    assert.deepEqual(
      { code: ended.code, outcome, gate: listeners[0]?.gate },
      { code: 1, outcome: 'still running', gate: 'refuse' },
      ended.stderr,
    );
    assert.deepEqual(notes, ['it is still running, and its gates are open again']);
    using clients = await queueClients(1, target);
    assert.deepEqual(await clients.outcomes, ['served']);
  });

  test('is killed with --kill', async () => {
    const target = { port: await freePort(), host: HOST };
    await using running = await startForeign({ listen: [target], atSignal: 'ignore' });
    const ended = await stop(String(running.pid), '--deadline', '1s', '--kill', '--json');
    assertEnded(ended, 1, 'killed');
    assert.equal((await running.ended).signal, 'SIGKILL');
  });

  test('is found by its port during another stop of it, which holds a copy of its listener', async () => {
    const target = { port: await freePort(), host: HOST };
    await using running = await startForeign({ listen: [target], atSignal: 'ignore' });
    await using first = startLastcall(['stop', String(running.pid), '--deadline', '20s', '--json']);
    await untilAccepted(target, false);
    const second = await stop(`:${target.port}`, '--deadline', '1s', '--kill', '--json');
    assertEnded(second, 1, 'killed');
    assert.equal((await running.ended).signal, 'SIGKILL');
    assert.equal(reportOf(await first.ended).outcome, 'complete');
  });

  test('keeps its gates open if they could not be opened again and it must not be killed', async () => {
    const target = { port: await freePort(), host: HOST };
    await using running = await startForeign({ listen: [target], atSignal: 'ignore' });
    const stopping = stopBelow(WITHOUT_REOPENING, String(running.pid), '--deadline', '1s', '--json');
    await running.prints(/^SIGTERM$/m);
    assert.equal(await isAccepted(target), true);
    const ended = await stopping;
    const { notes, listeners } = reportOf(ended);
    assertEnded(ended, 1, 'still running');
    assert.deepEqual(
      listeners.map(({ gate, left }) => ({ gate, left })),
      [{ gate: 'none', left: 0 }],
    );
    assert.match(ended.stderr, /^note: no gate was shut: without CAP_NET_RAW /m);
    assert.match(notes.join(), /^no gate was shut: without CAP_NET_RAW .* --kill allows it$/);
  });
});

suite('a program whose worker outlives it, and holds its listener', {
  skip: needsRoot || needsPrograms(PYTHON),
}, () => {
  async function startOutlived(scope: Scope): Promise<{ pid: number; worker: number; port: number }> {
    const port = await freePort();
    const running = scope.use(startCommand([PYTHON, OUTLIVED, String(port)]));
    const [, worker] = await running.prints(/^worker (\d+)$/m);
    scope.defer(() => isAlive(Number(worker)) && process.kill(Number(worker), 'SIGKILL'));
    return { pid: running.pid, worker: Number(worker), port };
  }

  test('is not left behind a shut gate: the gate is open again at the deadline', async () => {
    await using scope = new Scope();
    const { pid, worker, port } = await startOutlived(scope);
    const ended = await stop(String(pid), '--deadline', '1s', '--json');
    assert.deepEqual(
      {
        code: ended.code,
        outcome: reportOf(ended).outcome,
        isProgramAlive: isAlive(pid),
        isWorkerAlive: isAlive(worker),
      },
      { code: 1, outcome: 'still running', isProgramAlive: false, isWorkerAlive: true },
    );
    assert.ok(await isAccepted({ host: HOST, port }));
  });

  test('is killed together with its worker by --kill', async () => {
    await using scope = new Scope();
    const { pid, worker } = await startOutlived(scope);
    const ended = await stop(String(pid), '--deadline', '1s', '--json', '--kill');
    assert.deepEqual(
      {
        code: ended.code,
        outcome: reportOf(ended).outcome,
        isProgramAlive: isAlive(pid),
        isWorkerAlive: isAlive(worker),
      },
      { code: 1, outcome: 'killed', isProgramAlive: false, isWorkerAlive: false },
    );
  });
});

test('Ctrl-C twice ends the stop of a program that keeps running, with its gates open again', {
  skip: needsRoot,
}, async () => {
  const target = { host: HOST, port: await freePort() };
  await using running = await startForeign({ listen: [target], atSignal: 'ignore' });
  await using stopping = startLastcall(['stop', String(running.pid), '--json']);
  await untilAccepted(target, false);
  stopping.signal('SIGINT');
  await running.prints(/SIGTERM/);
  // A signal within 500 ms counts as the first. It is sent again in case the first was late.
  await sleep(600);
  stopping.signal('SIGINT');
  await using scope = new Scope();
  const again = setInterval(() => stopping.signal('SIGINT'), 5_000);
  scope.defer(() => clearInterval(again));
  const ended = await stopping.ended;
  assertEnded(ended, 1, 'still running');
  assert.ok(await isAccepted(target));
});

test('two stops at the same time leave the gates open, too', { skip: needsRoot }, async () => {
  const target = { host: HOST, port: await freePort() };
  await using running = await startForeign({ listen: [target], atSignal: 'ignore' });
  const line = ['stop', String(running.pid), '--deadline', '1s'];
  await using first = startLastcall(line);
  await untilAccepted(target, false);
  await using second = startLastcall(line);
  await Promise.all([first.ended, second.ended]);
  assert.ok(await isAccepted(target));
});

suite('a stop does not gate', { skip: needsRoot }, () => {
  test('a listener from an activator that cannot be inspected', async () => {
    await using outside = await listen();
    const env = { LISTEN_FDS: '1' };
    const stdio: StdioOptions = ['pipe', 'pipe', 'pipe', outside.fd];
    await using running = await startForeign({ inherits: true }, { before: AS_NOBODY, env, stdio });
    const ended = await stopBelow(AS_NOBODY, String(running.program), '--kill', '--json');
    const { listeners } = reportOf(ended);
    assertEnded(ended, 0, 'complete');
    assert.deepEqual(
      listeners.map(({ gate, reason }) => ({ gate, reason })),
      [{ gate: 'shared', reason: 'an activator passed it (LISTEN_FDS)' }],
    );
    await assertOpen(outside.port);
  });

  test('a listener of another user, passed without LISTEN_FDS', async () => {
    await using outside = await listen();
    await using running = await startForeign(
      { inherits: true },
      { before: AS_NOBODY, stdio: ['pipe', 'pipe', 'pipe', outside.fd] },
    );
    const ended = await stopBelow(AS_NOBODY, String(running.program), '--kill', '--json');
    const { listeners } = reportOf(ended);
    assertEnded(ended, 0, 'complete');
    assert.equal(listeners[0]?.gate, 'shared');
    assert.match(listeners[0]?.reason ?? '', /^user 0 made it, and that user's processes cannot be inspected$/);
    await assertOpen(outside.port);
  });

  test('a listener that a process outside of the program’s tree holds', async () => {
    await using outside = await listen();
    await using running = await startForeign({ inherits: true }, { stdio: ['pipe', 'pipe', 'pipe', outside.fd] });
    const ended = await stop(String(running.pid), '--kill', '--json');
    const { listeners } = reportOf(ended);
    assertEnded(ended, 0, 'complete');
    assert.equal(listeners[0]?.gate, 'shared');
    assert.match(listeners[0]?.reason ?? '', new RegExp(`^process ${process.pid}\\b.* holds it too$`));
    await assertOpen(outside.port);
  });
});

suite('without the right', { skip: needsRoot }, () => {
  test('to signal the program the stop changes nothing, and the exit code is 77', async () => {
    const target = { port: await freePort(), host: HOST };
    await using running = await startForeign({ listen: [target] });
    const byNumber = await stopBelow(AS_NOBODY, String(running.pid), '--kill');
    assert.deepEqual({ code: byNumber.code, stdout: byNumber.stdout }, { code: 77, stdout: '' });
    assert.match(byNumber.stderr, /This user may not signal process \d+/);
    const byPort = await stopBelow(AS_NOBODY, `:${target.port}`);
    assert.equal(byPort.code, 77);
    assert.match(byPort.stderr, /This user cannot see the processes that listen on/);
    assert.ok(isAlive(running.pid));
    assert.ok(await isAccepted(target));
  });

  test('to inspect the program the stop only sends the signal, and its notes say what helps', async () => {
    const target = { port: await freePort(), host: HOST };
    await using running = await startForeign({ listen: [target], becomes: 65_534 });
    const ended = await stopBelow(AS_NOBODY, String(running.pid), '--kill', '--json');
    const { notes, listeners } = reportOf(ended);
    assertEnded(ended, 0, 'complete');
    assert.deepEqual(listeners, []);
    assert.match(notes.join(), /cannot be inspected: CAP_SYS_PTRACE allows it/);
    assert.equal((await running.ended).code, 0);
  });
});

test('a program in another network namespace is gated, and counted there', {
  skip: needsNamespaces('--net'),
}, async () => {
  const port = await freePort();
  const before = ['unshare', '--net', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh'];
  await using running = await startForeign({ listen: [{ port, host: HOST }] }, { before });
  const ended = await stop(String(running.program), '--json');
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(
    reportOf(ended).listeners.map(({ address, gate }) => ({ address, gate })),
    [{ address: `${HOST}:${port}`, gate: 'refuse' }],
  );
});

/** A listener of this process, not of the program. */
interface Outside extends AsyncDisposable {
  readonly port: number;
  readonly fd: number;
}

async function listen(): Promise<Outside> {
  const server = net.createServer((socket) => socket.on('error', () => {}).end('outside')).listen(0, HOST);
  await once(server, 'listening');
  const fd = descriptorOf(server);
  if (fd === undefined) throw new Error('no descriptor');
  return { port: portOf(server), fd, [Symbol.asyncDispose]: async () => void server.close() };
}

/** The other holder of the listener still accepts. */
async function assertOpen(port: number): Promise<void> {
  assert.equal(await isAccepted({ port, host: HOST }), true);
}
