// `lastcall run` in a terminal, below an activator, above npm, and with an early signal.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { findTree } from '../../src/program/find/process-tree.ts';
import type { StopReport } from '../../src/program/report.ts';
import { makeFolder } from '../harness/folders.ts';
import { MAIN, startLastcall } from '../harness/lastcall-command.ts';
import { needsPrograms } from '../harness/needs.ts';
import { freePort, untilAccepted } from '../harness/ports.ts';
import { fixture, holdTree, isAlive, startCommand, type TestProcess } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { until } from '../harness/wait.ts';
import { foreignLine } from '../program/foreign-program-driver.ts';
import { hasPending } from '../program/pending-signals.ts';
import { countUnserved, queueClients, tally } from '../program/queued-clients.ts';
import { needsTerminal, openTerminal, type Terminal } from './terminal.ts';

const HOST = '127.0.0.1';
const CLIENTS = 10;
const WITHOUT_HANDLER = fixture('program/node-without-handler');

suite('Ctrl-C in a terminal', { skip: needsTerminal }, () => {
  const proof = prove('clients of a program that lastcall run stops at Ctrl-C');

  test('reaches the program once, when its queue is empty', async (t) => {
    using folder = makeFolder();
    const target = { host: HOST, port: await freePort() };
    const report = join(folder.path, 'report.json');
    const line = foreignLine({ listen: [target] });
    using terminal = openTerminal([process.execPath, MAIN, 'run', '--no-inside', '--report', report, '--', ...line]);
    // The last line is to be on one line of the screen, however many have asked.
    terminal.resize(140, 24);
    const goOn = await holdTree(await readPid(terminal));
    using clients = await queueClients(CLIENTS, target);
    terminal.press('C-c');
    await untilAccepted(target, false);
    goOn();
    assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
    const left = await terminal.shows(/ended with 0/);
    // The progress line may be before the program's output.
    assert.equal(left.match(/SIGTERM$/gm)?.length, 1, left);
    // The program's own line ends the progress line, which has the phase of that moment.
    assert.match(left, /lastcall: (emptying the queues|ending): 0 queued/);
    assert.match(left, /stopped in .*; \d+ clients waited, 0 left unserved/);
    const { reason, listeners } = readReport(report);
    assert.equal(reason, 'SIGINT');
    proof.held(t, { queued: listeners[0]?.queued });
  });

  test('control: without lastcall it resets them', async (t) => {
    const target = { host: HOST, port: await freePort() };
    using terminal = openTerminal(foreignLine({ listen: [target] }));
    const goOn = await holdTree(await readPid(terminal));
    using clients = await queueClients(CLIENTS, target);
    terminal.press('C-c');
    goOn();
    proof.lost(t, countUnserved(await clients.outcomes));
  });
});

async function readPid(terminal: Terminal): Promise<number> {
  const [, pid = ''] = /^ready (\d+) /m.exec(await terminal.shows(/^ready \d+ /m)) ?? [];
  return Number(pid);
}

test('a listener from an activator is passed on with the program’s own LISTEN_PID, and is not gated', {
  skip: needsPrograms('systemd-socket-activate'),
}, async () => {
  using folder = makeFolder();
  const target = { host: HOST, port: await freePort() };
  const report = join(folder.path, 'report.json');
  const line = foreignLine({ inherits: true });
  const command = [process.execPath, MAIN, 'run', '--no-inside', '--report', report, '--', ...line];
  await using running = startCommand(['systemd-socket-activate', '-l', `${HOST}:${target.port}`, ...command]);
  // The activator starts it when a client comes.
  assert.equal(await askFirst(target), 'served');
  const [, pid, fds, meantFor] = await running.prints(/^ready (\d+) fds (\S+) for (\S+)/m);
  assert.deepEqual({ fds, meantFor }, { fds: '1', meantFor: pid });
  running.signal('SIGTERM');
  assert.equal((await running.ended).code, 0);
  const [listener, ...others] = readReport(report).listeners;
  assert.deepEqual(
    { address: listener?.address, gate: listener?.gate, reason: listener?.reason, others },
    {
      address: `${HOST}:${target.port}`,
      gate: 'shared',
      reason: 'an activator passed it (LISTEN_FDS)',
      others: [],
    },
  );
});

test('a signal before the program listens ends it', async () => {
  using folder = makeFolder();
  const report = join(folder.path, 'report.json');
  await using running = startLastcall(['run', '--report', report, '--', 'sh', '-c', 'echo up; exec sleep 60']);
  await running.prints(/up/);
  running.signal('SIGTERM');
  assert.equal((await running.ended).code, 143);
  const { outcome, listeners } = readReport(report);
  assert.deepEqual({ outcome, listeners }, { outcome: 'complete', listeners: [] });
});

suite('below npm a Node program', () => {
  const proof = prove('clients of a Node program below npm, stopped by lastcall run');

  test('stops itself with --inside', async (t) => {
    using app = makeApp(await freePort());
    await using running = startLastcall(['run', '--inside', '--', ...app.line]);
    const { program, outcomes } = await stopWithQueue(running, app.port);
    assert.deepEqual(tally(outcomes), { served: CLIENTS });
    await running.ended;
    assert.equal(isAlive(program), false);
    proof.held(t, { queued: CLIENTS });
  });

  test('control: without lastcall it resets them', async (t) => {
    using app = makeApp(await freePort());
    await using running = startCommand(app.line);
    const { outcomes } = await stopWithQueue(running, app.port);
    proof.lost(t, countUnserved(outcomes));
  });
});

interface App extends Disposable {
  readonly port: number;
  readonly line: readonly string[];
}

/** A package whose start script becomes a Node server without a handler. */
function makeApp(port: number): App {
  const folder = makeFolder();
  const app = join(folder.path, 'app');
  mkdirSync(app);
  const script = `"${process.execPath}" "${WITHOUT_HANDLER}" ${port} ${HOST}`;
  writeFileSync(join(app, 'package.json'), JSON.stringify({ name: 'app', scripts: { start: `exec ${script}` } }));
  return { port, line: ['npm', '--prefix', app, 'start'], [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

/** Holds the server, with clients in its queue, until the signal that npm forwards is pending. */
async function stopWithQueue(
  running: TestProcess,
  port: number,
): Promise<{ readonly program: number; readonly outcomes: readonly string[] }> {
  const target = { host: HOST, port };
  await untilAccepted(target);
  const program = [...findTree(running.pid)].find(isServer);
  assert.ok(program !== undefined, `${[...findTree(running.pid)].join(' ')}: none is the server`);
  const goOn = await holdTree(program);
  using clients = await queueClients(CLIENTS, target);
  running.signal('SIGTERM');
  await until('npm has forwarded the signal', () => hasPending(program, 'SIGTERM'));
  goOn();
  return { program, outcomes: await clients.outcomes };
}

/** A process may be gone since the tree was read. */
function isServer(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[1] === WITHOUT_HANDLER;
  } catch {
    return false;
  }
}

function readReport(file: string): StopReport {
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** The outcome of one client, once there is a listener. */
async function askFirst(target: net.NetConnectOpts): Promise<string> {
  let outcome = 'ECONNREFUSED';
  await until(`there is a listener at ${JSON.stringify(target)}`, async () => {
    outcome = await askOnce(target);
    return outcome !== 'ECONNREFUSED';
  });
  return outcome;
}

function askOnce(target: net.NetConnectOpts): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(target);
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    socket.once('connect', () => socket.write('GET / HTTP/1.1\r\nHost: program\r\n\r\n'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('end', () => resolve(received.trimEnd().endsWith('served') ? 'served' : 'eof'));
  });
}
