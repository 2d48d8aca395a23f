// Signals to a Node program below lastcall run, to everybody at once, and more than one.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StopReport } from '../../../src/program/report.ts';
import { findTree } from '../../../src/program/find/process-tree.ts';
import { makeFolder } from '../../harness/folders.ts';
import { startLastcall } from '../../harness/lastcall-command.ts';
import { needsPrograms } from '../../harness/needs.ts';
import { freePort, untilAccepted } from '../../harness/ports.ts';
import { fixture, holdProcess, holdTree, isAlive, startCommand, type TestProcess } from '../../harness/processes.ts';
import { prove } from '../../harness/proof.ts';
import { Scope } from '../../harness/scope.ts';
import { until } from '../../harness/wait.ts';
import { runForeign } from '../../program/foreign-program-driver.ts';
import { hasPending } from '../../program/pending-signals.ts';
import { countUnserved, queueClients, tally } from '../../program/queued-clients.ts';

const HOST = '127.0.0.1';
const CLIENTS = 10;
const WITHOUT_HANDLER = fixture('program/node-without-handler');
const ELSEWHERE = fixture('program/server-elsewhere');

/** A Node program below `lastcall run`, and the report of its stop. */
interface Below {
  readonly running: TestProcess;
  readonly program: number;
  readonly port: number;
  report(): StopReport;
}

async function runNode(
  scope: Scope,
  options: readonly string[],
  line: (port: number) => readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Below> {
  const file = join(scope.use(makeFolder()).path, 'report.json');
  const port = await freePort();
  const command = ['run', '--report', file, ...options, '--', process.execPath, ...line(port)];
  const running = scope.use(startLastcall(command, { env }));
  await untilAccepted({ port, host: HOST });
  const program = [...findTree(running.pid)].find((pid) => commandOf(pid)[1]?.startsWith('--import=') === true);
  assert.ok(program !== undefined);
  return { running, program, port, report: () => JSON.parse(readFileSync(file, 'utf8')) };
}

/** A server that answers has told lastcall; one that the kernel accepts clients for may not have. */
async function untilServed(port: number): Promise<void> {
  const response = await fetch(`http://${HOST}:${port}`, { headers: { connection: 'close' } });
  await response.text();
}

function commandOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

suite('a Node program below run --signal', () => {
  const proof = prove('clients of a Node program that is stopped from inside by a signal that --signal names');

  for (const [signal, variable] of [
    ['SIGQUIT', undefined],
    ['SIGUSR2', undefined],
    ['SIGUSR2', 'SIGTERM'],
  ] as const) {
    test(`${signal} serves its queue, with LASTCALL_SIGNALS ${variable ?? 'not set'}`, async (t) => {
      await using scope = new Scope();
      const env = variable === undefined ? {} : { LASTCALL_SIGNALS: variable };
      const line = (port: number): readonly string[] => [WITHOUT_HANDLER, String(port), HOST];
      const { running, program, port, report } = await runNode(scope, ['--signal', signal], line, env);
      await untilServed(port);
      const goOn = await holdTree(program);
      const clients = scope.use(await queueClients(CLIENTS, { port, host: HOST }));
      running.signal(signal);
      await until('the signal is with the program', () => hasPending(program, signal));
      goOn();
      assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
      assert.equal((await running.ended).code, 0);
      const { outcome, reason } = report();
      assert.deepEqual({ outcome, reason }, { outcome: 'complete', reason: signal });
      proof.held(t, { queued: CLIENTS });
    });
  }

  test('control: the signal alone loses it', async (t) => {
    await using scope = new Scope();
    const port = await freePort();
    const running = scope.use(startCommand([process.execPath, WITHOUT_HANDLER, String(port), HOST]));
    await untilAccepted({ port, host: HOST });
    const goOn = await holdTree(running.pid);
    const clients = scope.use(await queueClients(CLIENTS, { port, host: HOST }));
    running.signal('SIGUSR2');
    goOn();
    proof.lost(t, countUnserved(await clients.outcomes));
  });
});

suite('a Node program that register cannot help, below run', () => {
  const proof = prove('clients of a Node program below run whose server is not in its main thread');

  for (const [where, title] of [
    ['thread', 'in a worker thread'],
    ['both', 'in a worker thread, and another one in its main thread'],
    ['child', 'in a child without register'],
    ['program', 'in a child that is another program'],
  ] as const) {
    test(`is gated from outside, with its server ${title}`, {
      skip: where === 'program' && needsPrograms('/usr/bin/python3'),
    }, async (t) => {
      await using scope = new Scope();
      const line = (port: number): readonly string[] => [ELSEWHERE, where, String(port), HOST];
      const { running, program, port, report } = await runNode(scope, [], line);
      const goOn = await holdTree(program);
      const clients = scope.use(await queueClients(CLIENTS, { port, host: HOST }));
      running.signal('SIGTERM');
      await untilAccepted({ port, host: HOST }, false);
      goOn();
      assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
      await running.ended;
      const listener = report().listeners.find(({ address }) => address.endsWith(`:${port}`));
      assert.deepEqual({ gate: listener?.gate, left: listener?.left }, { gate: 'refuse', left: 0 });
      proof.held(t, { queued: listener?.queued });
    });
  }

  test('control: by the signal alone it loses them', async (t) => {
    await using scope = new Scope();
    const port = await freePort();
    const running = scope.use(startCommand([process.execPath, ELSEWHERE, 'thread', String(port), HOST]));
    await untilAccepted({ port, host: HOST });
    const goOn = await holdTree(running.pid);
    const clients = scope.use(await queueClients(CLIENTS, { port, host: HOST }));
    running.signal('SIGTERM');
    goOn();
    proof.lost(t, countUnserved(await clients.outcomes));
  });

  test('below npm, too, if --inside says so; and one with a server in its main thread is stopped from inside', async () => {
    for (const [where, isInside] of [
      ['thread', false],
      ['here', true],
    ] as const) {
      await using scope = new Scope();
      const port = await freePort();
      const file = join(scope.use(makeFolder()).path, 'report.json');
      // A shell passes on no descriptor that it does not know, like npm.
      const script = 'exec 3>&- 4>&-; trap : TERM; "$@" & wait; kill -s TERM $!; wait';
      const line = ['sh', '-c', script, 'sh', process.execPath, ELSEWHERE, where, String(port), HOST];
      const running = scope.use(startLastcall(['run', '--inside', '--report', file, '--', ...line]));
      await untilAccepted({ port, host: HOST });
      await untilServed(port);
      running.signal('SIGTERM');
      await running.ended;
      const { notes, listeners }: StopReport = JSON.parse(readFileSync(file, 'utf8'));
      const note = notes.includes('it stops itself, from inside (lastcall/register)');
      // It may find the listener, or not: a program that stops itself closes it at once.
      const isGated = listeners.some(({ gate }) => gate === 'refuse');
      assert.deepEqual({ note, isGated }, { note: isInside, isGated: !isInside });
    }
  });
});

const ENDLESS = `require('node:http').createServer(() => console.log('asked')).listen(Number(process.argv[1]), '${HOST}');`;

suite('more than one signal', () => {
  test('the second is handed on to a Node program, which then cuts its clients, and the report says so', async () => {
    await using scope = new Scope();
    const { running, port, report } = await runNode(scope, [], (own) => ['-e', ENDLESS, String(own)]);
    const clients = scope.use(await queueClients(1, { port, host: HOST }));
    await running.prints(/asked/);
    running.signal('SIGTERM');
    // A signal within 500 ms counts as the first.
    await sleep(700);
    running.signal('SIGTERM');
    assert.equal(countUnserved(await clients.outcomes), 1);
    await running.ended;
    const { outcome, doubts, duration } = report();
    assert.deepEqual(
      { outcome, doubts },
      { outcome: 'forced', doubts: ['by its own report clients were lost, or may have been'] },
    );
    assert.ok(duration < 20_000, `${duration}`);
  });

  test('control: without the second the program goes on with its client', async () => {
    await using scope = new Scope();
    const { running, program, port } = await runNode(scope, [], (own) => ['-e', ENDLESS, String(own)]);
    scope.use(await queueClients(1, { port, host: HOST }));
    await running.prints(/asked/);
    running.signal('SIGTERM');
    // Time is what is tested: with a second signal it would have ended by now.
    await sleep(3_000);
    assert.equal(isAlive(program), true);
  });

  test('the third kills the program, and its end is not complete', async () => {
    await using running = await runForeign({ listen: [{ port: await freePort(), host: HOST }], atSignal: 'ignore' });
    running.signal('SIGTERM');
    await running.prints(/^SIGTERM$/m);
    // A signal within 500 ms counts as the first. Signals that wait for their turn together are one: so they are sent again.
    await sleep(600);
    const again = setInterval(() => running.signal('SIGTERM'), 100);
    const { ended, report } = await running.finished.finally(() => clearInterval(again));
    const { outcome, notes } = report ?? {};
    assert.deepEqual(
      { code: ended.code, outcome, notes },
      { code: 137, outcome: 'killed', notes: ['a third signal asked to kill it'] },
    );
  });
});

test('a signal that comes again and again until lastcall has ended takes neither its report nor the exit code', async () => {
  await using running = await runForeign({ listen: [{ port: await freePort(), host: HOST }], atSignal: 'leave' });
  running.signal('SIGTERM');
  const again = setInterval(() => running.signal('SIGTERM'), 1);
  const { ended, report } = await running.finished.finally(() => clearInterval(again));
  assert.deepEqual({ code: ended.code, outcome: report?.outcome }, { code: 0, outcome: 'complete' });
});

suite('if everybody is signalled at once, the report says that clients may be lost', () => {
  test('when the program ends with clients in its queue', async () => {
    const target = { port: await freePort(), host: HOST };
    await using running = await runForeign({ listen: [target], atSignal: 'default' });
    const goOn = await holdTree(running.program);
    using clients = await queueClients(CLIENTS, target);
    process.kill(running.program, 'SIGTERM');
    running.signal('SIGTERM');
    await untilAccepted(target, false);
    goOn();
    assert.equal(countUnserved(await clients.outcomes), CLIENTS);
    const { report } = await running.finished;
    assert.equal(report?.outcome, 'forced');
    assert.match(
      report?.doubts.join() ?? '',
      /it ended before lastcall sent it a signal, as if everybody were signalled at once/,
    );
  });

  test('when the program has ended before lastcall looks', async () => {
    const target = { port: await freePort(), host: HOST };
    await using running = await runForeign({ listen: [target], atSignal: 'default' });
    await holdProcess(running.pid);
    running.signal('SIGTERM');
    process.kill(running.program, 'SIGTERM');
    await until('the program has ended', () => !isAlive(running.program));
    running.goOn();
    const { report } = await running.finished;
    assert.equal(report?.outcome, 'forced', JSON.stringify(report));
    assert.match(report?.doubts.join() ?? '', /it ended before lastcall sent it a signal/);
  });

  test('control: if lastcall alone is signalled there is no doubt', async () => {
    await using running = await runForeign({ listen: [{ port: await freePort(), host: HOST }], atSignal: 'default' });
    running.signal('SIGTERM');
    const { report } = await running.finished;
    assert.deepEqual({ outcome: report?.outcome, doubts: report?.doubts }, { outcome: 'complete', doubts: [] });
  });
});
