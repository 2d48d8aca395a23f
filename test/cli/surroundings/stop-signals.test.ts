// The signal that --signal names asks lastcall run for a stop, too.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { socketsOf } from '../../../src/linux/process/processes.ts';
import { readStatus } from '../../../src/linux/process/status.ts';
import { findTree } from '../../../src/program/find/process-tree.ts';
import { makeFolder } from '../../harness/folders.ts';
import { MAIN, startLastcall } from '../../harness/lastcall-command.ts';
import { needsPrograms, needsRoot } from '../../harness/needs.ts';
import { freePort, untilAccepted } from '../../harness/ports.ts';
import { holdAll, startCommand } from '../../harness/processes.ts';
import { prove } from '../../harness/proof.ts';
import { Scope } from '../../harness/scope.ts';
import { until, within } from '../../harness/wait.ts';
import { hasPending } from '../../program/pending-signals.ts';
import { tally } from '../../program/queued-clients.ts';
import { needsTerminal, openTerminal } from '../terminal.ts';
import { APACHE, STOP_SIGNAL_PROGRAMS, type StopSignalProgram } from './stop-signal-programs.ts';

const HOST = '127.0.0.1';
const CLIENTS = 100;

for (const program of STOP_SIGNAL_PROGRAMS) {
  const { title, signal } = program;
  suite(`${title} below lastcall run`, { skip: needsRoot || needsPrograms(program.needs) }, () => {
    const proof = prove(`clients in the queue of ${title}, whose ${signal} is sent to lastcall run`);

    test(`serves all clients of its queue if lastcall gets ${signal}`, async (t) => {
      await using scope = new Scope();
      const folder = scope.use(makeFolder()).path;
      const port = await freePort();
      const file = join(folder, 'report.json');
      const line = program.line(port, folder);
      const running = scope.use(startLastcall(['run', '--signal', signal, '--report', file, '--', ...line]));
      await untilAccepted({ port, host: HOST });
      const [first = -1] = [...findTree(running.pid)].filter((pid) => isOf(program, pid));
      const goOn = await holdAll(serving(program, first));
      const outcomes = await connectAll(scope, port, program);
      running.signal(signal);
      await untilAccepted({ port, host: HOST }, false);
      goOn();
      assert.deepEqual(tally(await outcomes()), { served: CLIENTS });
      const { code } = await running.ended;
      const { outcome, reason, listeners } = JSON.parse(readFileSync(file, 'utf8'));
      const seen = { code, outcome, reason, left: listeners[0].left };
      assert.deepEqual(seen, { code: 0, outcome: 'complete', reason: signal, left: 0 });
      proof.held(t, { queued: listeners[0].queued });
    });

    test(`control: by ${signal} alone it loses them`, async (t) => {
      await using scope = new Scope();
      const folder = scope.use(makeFolder()).path;
      const port = await freePort();
      const running = scope.use(startCommand(program.line(port, folder)));
      await untilAccepted({ port, host: HOST });
      const listeners = [...socketsOf(running.pid).keys()];
      const held = serving(program, running.pid);
      const goOn = await holdAll(held);
      const outcomes = await connectAll(scope, port, program);
      running.signal(signal);
      const isOn = (): boolean =>
        held.some((pid) => hasPending(pid, signal)) || listeners.some((inode) => !socketsOf(running.pid).has(inode));
      await until(`${title} has acted on ${signal}`, isOn);
      goOn();
      proof.lost(t, (await outcomes()).filter((outcome) => outcome !== 'served').length);
    });
  });
}

/** Some programs change their command lines. A process may be gone. */
function isOf({ needs }: StopSignalProgram, pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`) === realpathSync(needs);
  } catch {
    return false;
  }
}

/** 0 before the file is there. */
function pidIn(file: string): number {
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
}

/** The processes that accept clients. */
function serving({ servesItself }: StopSignalProgram, first: number): readonly number[] {
  return [...findTree(first)].filter((pid) => servesItself || pid !== first);
}

/** Clients that have asked, and their outcomes. */
async function connectAll(
  scope: Scope,
  port: number,
  { request, served }: StopSignalProgram,
): Promise<() => Promise<readonly string[]>> {
  const outcomes: Promise<string>[] = [];
  for (let client = 0; client < CLIENTS; client += 1) {
    const socket = net.connect(port, HOST);
    scope.defer(() => void socket.destroy());
    await within('a client to be connected', once(socket, 'connect'));
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
    const end = new Promise<string>((resolve) => {
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      socket.once('end', () => resolve(served.test(received) ? 'served' : 'eof'));
    });
    outcomes.push(end);
    socket.write(request);
  }
  return () => within('the outcomes of all clients', Promise.all(outcomes));
}

suite('a terminal that is resized', { skip: needsRoot || needsPrograms(APACHE.needs) || needsTerminal }, () => {
  test('does not stop Apache below lastcall run, and a SIGWINCH that is sent afterwards does', async () => {
    using folder = makeFolder();
    const target = { port: await freePort(), host: HOST };
    const report = join(folder.path, 'report.json');
    // Shows that lastcall has got the signal: this listener is called before its own.
    const module = `data:text/javascript,${encodeURIComponent(`process.on('SIGWINCH', () => console.log('got it'))`)}`;
    const lastcall = [process.execPath, `--import=${module}`, MAIN, 'run', '--signal', 'SIGWINCH', '--report', report];
    const shell = ['sh', '-c', 'echo "pid $$"; exec "$@"', 'sh'];
    using terminal = openTerminal([...shell, ...lastcall, '--', ...APACHE.line(target.port, folder.path)]);
    const [, pid] = /^pid (\d+)/m.exec(await terminal.shows(/^pid \d+/m)) ?? [];
    await untilAccepted(target);
    for (const columns of [120, 90]) {
      terminal.resize(columns, 30);
      await terminal.shows(new RegExp(`^(.*got it\\s+){${columns === 120 ? 1 : 2}}`, 'm'));
    }
    // Nothing but the terminal's end would be printed after the next one.
    process.kill(Number(pid), 'SIGWINCH');
    await terminal.shows(/ended with 0/);
    const { reason, outcome, listeners } = JSON.parse(readFileSync(report, 'utf8'));
    assert.deepEqual(
      { reason, outcome, gate: listeners[0].gate },
      { reason: 'SIGWINCH', outcome: 'complete', gate: 'refuse' },
    );
    assert.equal((await terminal.shows(/ended with 0/)).match(/got it/g)?.length, 3);
  });

  test('control: without lastcall it stops Apache', async () => {
    using folder = makeFolder();
    const target = { port: await freePort(), host: HOST };
    // It leaves its terminal unless it leads a process group: as a job of a shell it does.
    const job = ['bash', '-mc', '"$@"; exit $?', 'bash'];
    using terminal = openTerminal([...job, ...APACHE.line(target.port, folder.path)]);
    const catches = (): boolean => readStatus(pidIn(join(folder.path, 'pid')))?.caught.has('SIGWINCH') === true;
    await until('Apache would stop at a SIGWINCH', catches);
    terminal.resize(120, 30);
    await terminal.shows(/ended with 0/);
  });
});
