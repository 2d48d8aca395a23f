// What stands around `lastcall run`: a terminal, an activator, npm, and a signal that comes too early.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { StopReport } from '../../src/program/report.ts';
import { holdStill, isAlive } from '../program/foreign-program.ts';
import { findPort, MAIN, start, startLastcall, untilAccepted } from '../harness/lastcall-command.ts';
import { makeFolder } from '../program/programs.ts';
import { queueClients, tally } from '../program/queued-clients.ts';
import { findTree } from '../../src/program/process-tree.ts';
import { openTerminal, terminalMissing } from './terminal.ts';

const HOST = '127.0.0.1';
const FOREIGN = fileURLToPath(new URL('../fixtures/program/foreign-program.js', import.meta.url));
const WITHOUT_HANDLER = fileURLToPath(new URL('../fixtures/program/node-without-handler.js', import.meta.url));
const activatorMissing =
  spawnSync('systemd-socket-activate', ['--version']).error === undefined ? false : 'no systemd-socket-activate here';

function readReport(file: string): StopReport {
  return JSON.parse(readFileSync(file, 'utf8'));
}

test('Ctrl-C in a terminal comes to the program once, when nobody is left in its queue', {
  skip: terminalMissing,
}, async (t) => {
  const target = { host: HOST, port: await findPort() };
  const report = join(makeFolder(t), 'report.json');
  const line = [process.execPath, FOREIGN, JSON.stringify({ listen: [target] })];
  const terminal = openTerminal(t, [process.execPath, MAIN, 'run', '--no-inside', '--report', report, '--', ...line]);
  const screen = await terminal.shows(/^ready \d+ /m);
  const [, program = ''] = /^ready (\d+) /m.exec(screen) ?? [];
  const still = holdStill(t, Number(program));
  const clients = await queueClients(t, 10, target);
  terminal.press('C-c');
  await untilAccepted(t, target, false);
  still.goOn();
  assert.deepEqual(tally(await clients.outcomes), { served: 10 });
  const left = await terminal.shows(/ended with 0/);
  // The line that is written over may stand before the program's own words.
  assert.equal(left.match(/SIGTERM$/gm)?.length, 1, left);
  assert.match(left, /lastcall: emptying the queues: 0 queued/);
  assert.match(left, /stopped in .*; \d+ clients waited, 0 left unserved/);
  assert.equal(readReport(report).reason, 'SIGINT');
});

test('what an activator passed is passed on with the program’s own LISTEN_PID, and is not gated', {
  skip: activatorMissing,
}, async (t) => {
  const target = { host: HOST, port: await findPort() };
  const report = join(makeFolder(t), 'report.json');
  const line = [process.execPath, FOREIGN, JSON.stringify({ inherits: true })];
  const command = [process.execPath, MAIN, 'run', '--no-inside', '--report', report, '--', ...line];
  const running = start(t, ['systemd-socket-activate', '-l', `${HOST}:${target.port}`, ...command]);
  // It is started when a client comes.
  const clients = await queueUntilServed(target);
  const [, pid, fds, meantFor] = await running.says(/^ready (\d+) fds (\S+) for (\S+)/m);
  assert.deepEqual([fds, meantFor], ['1', pid]);
  assert.equal(clients, 'served');
  process.kill(running.pid, 'SIGTERM');
  assert.equal((await running.ended).code, 0);
  const [listener, ...others] = readReport(report).listeners;
  assert.deepEqual(
    [listener?.address, listener?.gate, listener?.reason, others],
    [`${HOST}:${target.port}`, 'shared', 'an activator passed it (LISTEN_FDS)', []],
  );
});

test('a signal that comes before the program listens ends it', async (t) => {
  const report = join(makeFolder(t), 'report.json');
  const running = startLastcall(t, ['run', '--report', report, '--', 'sh', '-c', 'echo up; exec sleep 60']);
  await running.says(/up/);
  process.kill(running.pid, 'SIGTERM');
  assert.equal((await running.ended).code, 143);
  const { outcome, listeners } = readReport(report);
  assert.deepEqual([outcome, listeners], ['complete', []]);
});

test('below npm a Node program stops itself with --inside', async (t) => {
  const port = await findPort();
  const folder = join(makeFolder(t), 'app');
  mkdirSync(folder);
  const script = `"${process.execPath}" "${WITHOUT_HANDLER}" ${port} ${HOST}`;
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'app', scripts: { start: `exec ${script}` } }));
  const running = startLastcall(t, ['run', '--inside', '--', 'npm', '--prefix', folder, 'start']);
  const target = { host: HOST, port };
  await untilAccepted(t, target);
  const program = [...findTree(running.pid)].find((pid) => isServer(pid)) ?? 0;
  const still = holdStill(t, program);
  const clients = await queueClients(t, 10, target);
  process.kill(running.pid, 'SIGTERM');
  // The signal went to npm, which hands it on; held still the program has it pending.
  while (!hasPending(program)) await new Promise((resolve) => setTimeout(resolve, 5));
  still.goOn();
  assert.deepEqual(tally(await clients.outcomes), { served: 10 });
  await running.ended;
  assert.ok(!isAlive(program));
});

function isServer(pid: number): boolean {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[1] === WITHOUT_HANDLER;
}

function hasPending(pid: number): boolean {
  const [, mask = '0'] = /^ShdPnd:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return (BigInt(`0x${mask}`) & (1n << 14n)) !== 0n;
}

/** One client, from the moment on at which somebody listens. */
async function queueUntilServed(target: net.NetConnectOpts): Promise<string> {
  for (;;) {
    const outcome = await askOnce(target);
    if (outcome !== 'ECONNREFUSED') return outcome;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
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
