// In another network namespace the command reads /proc/PID/net/unix, in which a name with a newline makes a row.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { parseUnixRow } from '../../src/linux/tables/proc-net.ts';
import { findListeners } from '../../src/program/find/find-listeners.ts';
import { socketsOf } from '../../src/linux/process/processes.ts';
import { copyDescriptorOf } from '../../src/linux/process/pidfd.ts';
import { requireLibc } from '../../src/linux/libc.ts';
import { shutUnixListener } from '../../src/listener/gate/unix.ts';
import { makeFolder } from '../harness/folders.ts';
import { startLastcall } from '../harness/lastcall-command.ts';
import { needsNamespaces } from '../harness/needs.ts';
import { fixture, holdTree, startCommand, type TestProcess } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { until } from '../harness/wait.ts';
import { type RunningProgram, startForeign } from '../program/foreign-program-driver.ts';
import { countUnserved } from '../program/queued-clients.ts';
import { reportOf } from './stop-to-the-end.ts';

const CLIENTS = 20;
const PORT = 8_080;
const OTHER_USER = ['setpriv', '--reuid', '65533', '--regid', '65533', '--clear-groups'] as const;
const IN_NAMESPACE = ['unshare', '--net', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh'] as const;

/** A program in a network namespace of its own, and its listener. */
interface Victim {
  readonly running: RunningProgram;
  readonly inode: number;
  readonly fd: number;
}

async function startVictim(listen: object, scope: Scope): Promise<Victim> {
  const running = scope.use(await startForeign({ listen: [listen] }, { before: IN_NAMESPACE }));
  const [listener] = findListeners(running.program).listeners;
  const [holder] = listener?.holders ?? [];
  assert.ok(listener !== undefined && holder !== undefined);
  return { running, inode: listener.socket.inode, fd: holder.fd };
}

/** Another user's process in the victim's network namespace binds a name that makes this row. */
async function forge(
  { running }: Victim,
  { inode, path }: { inode: number; path: string },
  scope: Scope,
): Promise<void> {
  const name = `\0x\n0: 2 0 00010000 0001 01 ${inode} ${path}`;
  const program = `require('net').createServer().listen(${JSON.stringify(name)}, () => console.log('bound'))`;
  const forging = scope.use(there(running, [...OTHER_USER, process.execPath, '-e', program]));
  await forging.prints(/^bound$/m);
  const rows = readFileSync(`/proc/${running.program}/net/unix`, 'latin1').split('\n').map(parseUnixRow);
  assert.ok(
    rows.some((row) => row?.inode === inode && row.address.family === 'Unix'),
    'the row is there',
  );
}

function there({ program }: RunningProgram, line: readonly string[]): TestProcess {
  return startCommand(['nsenter', `--net=/proc/${program}/ns/net`, ...line]);
}

/** Clients in the queue of the victim, which stands still; the function lets it go on. */
async function queueThere({ running }: Victim, scope: Scope): Promise<{ clients: TestProcess; goOn: () => void }> {
  const goOn = await holdTree(running.program);
  const line = [process.execPath, fixture('program/waiting-clients'), String(CLIENTS), String(PORT)];
  const clients = scope.use(there(running, line));
  await clients.prints(/^connected$/m);
  return { clients, goOn };
}

async function outcomesOf(clients: TestProcess): Promise<readonly string[]> {
  const [, outcomes = ''] = await clients.prints(/^outcomes (.*)$/m);
  return outcomes.split(' ');
}

suite('another user who forges a row of /proc/net/unix', { skip: needsNamespaces('--net') }, () => {
  const proof = prove('clients queued at a TCP listener that a forged row calls a Unix listener');

  test('does not make a Unix listener of a TCP listener: its clients are served', async (t) => {
    await using scope = new Scope();
    const victim = await startVictim({ port: PORT, host: '127.0.0.1' }, scope);
    await forge(victim, { inode: victim.inode, path: '/run/forged.sock' }, scope);
    const { clients, goOn } = await queueThere(victim, scope);
    const stopping = scope.use(startLastcall(['stop', String(victim.running.program), '--kill', '--json']));
    await until('lastcall has a copy', () => holds(stopping, victim.inode));
    goOn();
    const { outcome, listeners } = reportOf(await stopping.ended);
    assert.deepEqual(
      { outcome, listeners: listeners.map(({ address, gate, left }) => ({ address, gate, left })) },
      { outcome: 'complete', listeners: [{ address: `127.0.0.1:${PORT}`, gate: 'refuse', left: 0 }] },
    );
    assert.equal(countUnserved(await outcomesOf(clients)), 0);
    proof.held(t, { queued: CLIENTS });
  });

  test('control: the gate of a Unix listener, shut at a TCP listener, resets its clients', async (t) => {
    await using scope = new Scope();
    const victim = await startVictim({ port: PORT, host: '127.0.0.1' }, scope);
    const { clients, goOn } = await queueThere(victim, scope);
    const copy = copyDescriptorOf(victim.running.program, victim.fd);
    scope.defer(() => requireLibc().close(copy));
    shutUnixListener(copy);
    goOn();
    proof.lost(t, countUnserved(await outcomesOf(clients)));
  });

  test('does not give a Unix listener another path', async () => {
    await using scope = new Scope();
    const path = `${scope.use(makeFolder()).path}/app.sock`;
    const victim = await startVictim({ path }, scope);
    await forge(victim, { inode: victim.inode, path: '/run/forged.sock' }, scope);
    const stopping = scope.use(startLastcall(['stop', String(victim.running.program), '--kill', '--json']));
    const { outcome, listeners } = reportOf(await stopping.ended);
    assert.deepEqual(
      { outcome, listeners: listeners.map(({ address, gate }) => ({ address, gate })) },
      { outcome: 'complete', listeners: [{ address: `unix:${path}`, gate: 'unix' }] },
    );
  });

  test('does not make a listener of another socket of the program', async () => {
    await using scope = new Scope();
    const victim = await startVictim({ port: PORT, host: '127.0.0.1' }, scope);
    // The pipes of its standard streams are sockets.
    const [other] = [...socketsOf(victim.running.program).keys()].filter((inode) => inode !== victim.inode);
    assert.ok(other !== undefined);
    await forge(victim, { inode: other, path: '/run/forged.sock' }, scope);
    const names = findListeners(victim.running.program).listeners.map(({ name }) => name);
    assert.deepEqual(names, [`127.0.0.1:${PORT}`]);
  });
});

function holds({ pid }: TestProcess, inode: number): boolean {
  try {
    return socketsOf(pid).has(inode);
  } catch {
    return false;
  }
}
