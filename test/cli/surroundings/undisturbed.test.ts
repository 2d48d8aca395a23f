// `lastcall stop` and `run` whose output, terminal or own code fails while they work.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readStatus } from '../../../src/linux/process/status.ts';
import { findTree } from '../../../src/program/find/process-tree.ts';
import { makeFolder } from '../../harness/folders.ts';
import { MAIN, startLastcall, TO_GATE } from '../../harness/lastcall-command.ts';
import { needsRoot } from '../../harness/needs.ts';
import { freePort, isAccepted, untilAccepted } from '../../harness/ports.ts';
import { holdTree, isAlive, type TestProcess } from '../../harness/processes.ts';
import { prove } from '../../harness/proof.ts';
import { until, within } from '../../harness/wait.ts';
import { runForeign, type RunningProgram, startForeign } from '../../program/foreign-program-driver.ts';
import { countUnserved, type QueuedClients, queueClients, tally } from '../../program/queued-clients.ts';
import { needsTerminal, openTerminal } from '../terminal.ts';

const HOST = '127.0.0.1';
const CLIENTS = 10;

const proof = prove('clients in the queue of a program while the output of the command fails, or its terminal is gone');

test('control: by the signal alone they are lost', async (t) => {
  const target = { port: await freePort(), host: HOST };
  await using running = await startForeign({ listen: [target] });
  const goOn = await holdTree(running.pid);
  using clients = await queueClients(CLIENTS, target);
  running.signal('SIGTERM');
  goOn();
  proof.lost(t, countUnserved(await clients.outcomes));
});

for (const stream of ['stderr', 'stdout'] as const) {
  test(`stop ends with 0 if nobody reads its ${stream}, and all clients are served`, async (t) => {
    using folder = makeFolder();
    const target = { port: await freePort(), host: HOST };
    await using running = await startForeign({ listen: [target] });
    const goOn = await holdTree(running.pid);
    using clients = await queueClients(CLIENTS, target);
    const file = join(folder.path, 'report.json');
    await using stopping = startLastcall(['stop', String(running.pid), '--report', file, ...TO_GATE]);
    stopping.child[stream]?.destroy();
    await untilAccepted(target, false);
    goOn();
    const served = tally(await clients.outcomes);
    const { code } = await stopping.ended;
    assert.deepEqual({ served, code }, { served: { served: CLIENTS }, code: 0 }, readFileSync(file, 'utf8'));
    assert.equal((await running.ended).code, 0);
    proof.held(t, { queued: CLIENTS });
  });
}

test('run ends as the program does if nobody reads its stderr, and all clients are served', async (t) => {
  const target = { port: await freePort(), host: HOST };
  await using running = await runForeign({ listen: [target] });
  running.child.stderr?.destroy();
  const goOn = await holdTree(running.program);
  using clients = await queueClients(CLIENTS, target);
  running.signal('SIGTERM');
  await untilAccepted(target, false);
  goOn();
  assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
  const { ended, report } = await running.finished;
  assert.deepEqual({ code: ended.code, outcome: report?.outcome }, { code: 0, outcome: 'complete' });
  proof.held(t, { queued: report?.listeners[0]?.queued });
});

suite('in a terminal that hangs up', { skip: needsTerminal }, () => {
  test('stop goes on, and sends the signal only when the queue is empty', async (t) => {
    using folder = makeFolder();
    const file = join(folder.path, 'report.json');
    const target = { port: await freePort(), host: HOST };
    await using running = await startForeign({ listen: [target] });
    const goOn = await holdTree(running.pid);
    using clients = await queueClients(CLIENTS, target);
    const line = ['stop', String(running.pid), '--report', file, ...TO_GATE];
    await hangUp(line, file, () => untilAccepted(target, false));
    goOn();
    assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
    assert.equal((await running.ended).code, 0);
    await until('the exit code is there', () => existsSync(file) && existsSync(`${file}.code`));
    assert.deepEqual(resultOf(file), { outcome: 'complete', code: 0 });
    proof.held(t, { queued: CLIENTS });
  });

  test('run goes on with its stop, and the program gets no SIGHUP of the terminal', async (t) => {
    using folder = makeFolder();
    const file = join(folder.path, 'report.json');
    const target = { port: await freePort(), host: HOST };
    // Node itself aborts at its exit if its terminal is gone.
    const streams = 'exec "$@" </dev/null >/dev/null 2>&1';
    const program = ['sh', '-c', streams, 'sh', process.execPath, '-e', serverThatDiesOfSighup(target.port)];
    let goOn = (): void => {};
    let clients: QueuedClients | undefined;
    await hangUp(['run', '--no-inside', '--report', file, '--', ...program], file, async (lastcall) => {
      await untilAccepted(target);
      const isServer = (pid: number): boolean => pid !== lastcall && commandOf(pid).includes('createServer');
      goOn = await holdTree([...findTree(lastcall)].find(isServer) ?? -1);
      clients = await queueClients(CLIENTS, target);
      process.kill(lastcall, 'SIGTERM');
      await untilAccepted(target, false);
    });
    goOn();
    assert.deepEqual(tally((await clients?.outcomes) ?? []), { served: CLIENTS });
    await until('the exit code is there', () => existsSync(file) && existsSync(`${file}.code`));
    assert.deepEqual(resultOf(file), { outcome: 'complete', code: 0 }, readFileSync(file, 'utf8'));
    clients?.[Symbol.dispose]();
    proof.held(t, { queued: CLIENTS });
  });
});

/** Runs lastcall in a terminal, and closes the terminal when `ready` has resolved. The exit code goes to a file beside the report. */
async function hangUp(
  line: readonly string[],
  report: string,
  ready: (lastcall: number) => Promise<void>,
): Promise<void> {
  const command = ['sh', '-c', 'echo "pid $$"; exec "$@"', 'sh', process.execPath, MAIN, ...line];
  // This shell survives its terminal.
  const script = 'trap "" HUP; file=$1; shift; "$@"; echo $? >"$file.new"; mv "$file.new" "$file"';
  const terminal = openTerminal(['sh', '-c', script, 'sh', `${report}.code`, ...command]);
  let lastcall: number;
  try {
    const [, pid = ''] = /^pid (\d+)/m.exec(await terminal.shows(/^pid \d+/m)) ?? [];
    lastcall = Number(pid);
    await ready(lastcall);
  } finally {
    terminal[Symbol.dispose]();
  }
  // The kernel signals the shell of the terminal and the command in one go.
  await until('the terminal is gone', () => !hasTerminal(lastcall));
}

/** Whether a process has a controlling terminal: field 7 of /proc/PID/stat. False once it is gone. */
function hasTerminal(pid: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[4] !== '0';
  } catch {
    return false;
  }
}

function serverThatDiesOfSighup(port: number): string {
  return `const server = require('node:http').createServer((_, response) => response.setHeader('Connection', 'close').end('served'));
    server.listen(${port}, '${HOST}');
    process.on('SIGTERM', () => process.exit(0));`;
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

function resultOf(file: string): { readonly outcome: unknown; readonly code: number } {
  const { outcome }: { readonly outcome?: unknown } = JSON.parse(readFileSync(file, 'utf8'));
  return { outcome, code: Number(readFileSync(`${file}.code`, 'utf8')) };
}

test('neither Ctrl-Z nor output in the background suspends a stop', async () => {
  const target = { port: await freePort(), host: HOST };
  await using running = await startForeign({ listen: [target] });
  const goOn = await holdTree(running.pid);
  await using stopping = startLastcall(['stop', String(running.pid), ...TO_GATE]);
  await untilAccepted(target, false);
  const ignored = readStatus(stopping.pid)?.ignored;
  const seen = { SIGTSTP: ignored?.has('SIGTSTP'), SIGTTOU: ignored?.has('SIGTTOU') };
  assert.deepEqual(seen, { SIGTSTP: true, SIGTTOU: true });
  stopping.signal('SIGTSTP');
  goOn();
  assert.equal((await stopping.ended).code, 0);
});

suite('a gate that a command has shut', { skip: needsRoot }, () => {
  test('is opened again at the deadline if the command is suspended', async () => {
    const target = { port: await freePort(), host: HOST };
    await using running = await startForeign({ listen: [target], atSignal: 'ignore' });
    await using stopping = startLastcall(['stop', String(running.pid), '--deadline', '2s', '--json']);
    await untilAccepted(target, false);
    stopping.signal('SIGSTOP');
    await untilAccepted(target);
    const { code, stdout } = await stopping.ended;
    const { outcome } = JSON.parse(stdout);
    assert.deepEqual({ code, outcome }, { code: 1, outcome: 'still running' });
    assert.equal(isAlive(running.pid), true);
  });

  test('does not keep a program alive past the deadline if lastcall run is suspended', async () => {
    const target = { port: await freePort(), host: HOST };
    await using running = await runForeign({ listen: [target], atSignal: 'ignore' }, ['--deadline', '2s']);
    running.signal('SIGTERM');
    await untilAccepted(target, false);
    running.signal('SIGSTOP');
    const { ended, report } = await running.finished;
    assert.deepEqual({ code: ended.code, outcome: report?.outcome }, { code: 137, outcome: 'killed' });
  });

  test('control: without the watchdog it stays shut', async () => {
    const target = { port: await freePort(), host: HOST };
    await using running = await startForeign({ listen: [target], atSignal: 'ignore' });
    await using stopping = startLastcall(['stop', String(running.pid), '--deadline', '1s']);
    await untilAccepted(target, false);
    for (const pid of findTree(stopping.pid)) if (pid !== stopping.pid) process.kill(pid, 'SIGKILL');
    stopping.signal('SIGSTOP');
    // Time is what is tested: the watchdog would have acted 2 s after the start.
    await sleep(4_000);
    assert.equal(await isAccepted(target), false);
  });

  for (const kind of ['an error', 'a rejection'] as const) {
    test(`is opened again first if ${kind} that nobody expected ends the command with 2`, async () => {
      const target = { port: await freePort(), host: HOST };
      await using running = await startForeign({ listen: [target] });
      await using stopping = await stopThatFails(running, kind);
      await untilAccepted(target, false);
      stopping.signal('SIGUSR2');
      const { code, stderr } = await within('the command to end', stopping.ended);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /lastcall: Error: unexpected/);
      assert.equal(await isAccepted(target), true);
      assert.doesNotMatch(running.stdout, /SIGTERM/);
    });
  }
});

/** Starts a stop of a program that stands still, in which SIGUSR2 causes the error. */
async function stopThatFails(running: RunningProgram, kind: 'an error' | 'a rejection'): Promise<TestProcess> {
  const goOn = await holdTree(running.pid);
  const fail = kind === 'an error' ? 'throw new Error("unexpected")' : 'Promise.reject(new Error("unexpected"))';
  const module = `data:text/javascript,${encodeURIComponent(`process.on('SIGUSR2', () => { ${fail} })`)}`;
  const stopping = startLastcall(['stop', String(running.pid)], { env: { NODE_OPTIONS: `--import=${module}` } });
  void stopping.ended.then(goOn);
  return stopping;
}
