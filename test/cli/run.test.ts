import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { findTree } from '../../src/program/process-tree.ts';
import { NEEDS_ROOT } from '../linux/run-child.ts';
import {
  holdStill,
  isAlive,
  runForeign,
  type RunningProgram,
  type RunUnderLastcall,
  startForeign,
} from '../program/foreign-program.ts';
import { findPort, MAIN, startLastcall, untilAccepted } from '../harness/lastcall-command.ts';
import { makeFolder } from '../program/programs.ts';
import { queueClients, tally } from '../program/queued-clients.ts';

const CLIENTS = 10;

suite('a program with listeners of every kind', () => {
  for (const how of ['run', 'control'] as const) {
    test(
      how === 'run' ? 'run: all are gated, and all clients are served' : 'control: all clients are lost',
      async (t) => {
        const [port, other] = [await findPort(), await findPort()];
        const path = join(makeFolder(t), 'app.sock');
        const listen = [{ port, host: '127.0.0.1' }, { port: other, host: '::1' }, { path }];
        const running: RunningProgram & Partial<Pick<RunUnderLastcall, 'finished'>> =
          how === 'run' ? await runForeign(t, { listen }) : await startForeign(t, { listen });
        const still = holdStill(t, running.program);
        const queues = [];
        for (const target of listen) queues.push(await queueClients(t, CLIENTS, target));
        process.kill(running.pid, 'SIGTERM');
        if (how === 'run') for (const target of listen) await untilAccepted(t, target, false);
        still.goOn();
        const outcomes = tally((await Promise.all(queues.map((queue) => queue.outcomes))).flat());
        if (running.finished === undefined) {
          assert.ok((outcomes.served ?? 0) < listen.length * CLIENTS, JSON.stringify(outcomes));
          return t.diagnostic(JSON.stringify(outcomes));
        }
        const { ended, report } = await running.finished;
        assert.deepEqual(outcomes, { served: listen.length * CLIENTS });
        assert.equal(ended.code, 0);
        const seen = report?.listeners.map(({ address, gate, left }) => [address, gate, left]);
        assert.deepEqual(
          new Set(seen),
          new Set([
            [`127.0.0.1:${port}`, 'refuse', 0],
            [`[::1]:${other}`, 'refuse', 0],
            [`unix:${path}`, 'unix', 0],
          ]),
        );
        // A probe that came before the gate was shut is counted, too.
        assert.ok(
          report?.listeners.every(({ queued }) => queued >= CLIENTS),
          JSON.stringify(report),
        );
      },
    );
  }
});

test('a listener that the program opens during the drain is gated, too', async (t) => {
  const [port, later] = [await findPort(), await findPort()];
  const target = { port, host: '127.0.0.1' };
  const running = await runForeign(t, { listen: [target], later: [{ port: later, host: '127.0.0.1' }] });
  const still = holdStill(t, running.program);
  const clients = await queueClients(t, 40, target);
  process.kill(running.pid, 'SIGTERM');
  await untilAccepted(t, target, false);
  // Handed on; it acts when it goes on, in front of 40 clients that take 5 ms each.
  process.kill(running.pid, 'SIGUSR1');
  await sleep(50);
  still.goOn();
  assert.deepEqual(tally(await clients.outcomes), { served: 40 });
  const { report } = await running.finished;
  assert.deepEqual(
    report?.listeners.map(({ address, gate }) => [address, gate]),
    [
      [`127.0.0.1:${port}`, 'refuse'],
      [`127.0.0.1:${later}`, 'refuse'],
    ],
  );
});

test('a program without a listener is sent the signal, and its exit code passed on', async (t) => {
  const running = await runForeign(t, {});
  process.kill(running.pid, 'SIGTERM');
  const { ended, report } = await running.finished;
  assert.deepEqual([ended.code, report?.outcome, report?.listeners], [0, 'complete', []]);
  assert.match(ended.stdout, /^SIGTERM$/m);
});

test('a program that dies in the drain ends the run with 137, and the report says who was left', async (t) => {
  const target = { port: await findPort(), host: '127.0.0.1' };
  const running = await runForeign(t, { listen: [target] });
  holdStill(t, running.program);
  await queueClients(t, CLIENTS, target);
  process.kill(running.pid, 'SIGTERM');
  await untilAccepted(t, target, false);
  process.kill(running.program, 'SIGKILL');
  const { ended, report } = await running.finished;
  assert.deepEqual([ended.code, report?.program.signal], [137, 'SIGKILL'], ended.stderr);
  assert.ok(Number(report?.listeners[0]?.left) >= CLIENTS, JSON.stringify(report));
});

test('a program that ignores the signal is killed at the deadline, and its children with it', async (t) => {
  const target = { port: await findPort(), host: '127.0.0.1' };
  const running = await runForeign(t, { listen: [target], atSignal: 'ignore', children: 3 }, ['--deadline', '1s']);
  const tree = [...findTree(running.program)];
  assert.equal(tree.length, 4);
  process.kill(running.pid, 'SIGTERM');
  const { ended, report } = await running.finished;
  assert.deepEqual([ended.code, report?.outcome, report?.listeners[0]?.gate], [137, 'killed', 'refuse']);
  assert.match(ended.stdout, /^SIGTERM$/m);
  assert.deepEqual(tree.filter(isAlive), []);
});

test('a second signal means now, and a third kills', async (t) => {
  const target = { port: await findPort(), host: '127.0.0.1' };
  const running = await runForeign(t, { listen: [target], atSignal: 'ignore' }, ['--lame-duck', '1m']);
  process.kill(running.pid, 'SIGTERM');
  await sleep(600);
  process.kill(running.pid, 'SIGINT');
  await running.says(/^SIGTERM$/m);
  process.kill(running.pid, 'SIGTERM');
  const { ended, report } = await running.finished;
  assert.deepEqual([ended.code, report?.reason, report?.program.signal], [137, 'SIGTERM', 'SIGKILL']);
});

test('a daemon that the program leaves behind is ended with it', async (t) => {
  const running = startLastcall(t, ['run', '--', 'sh', '-c', 'setsid sleep 600 & echo $!; exit 3']);
  const [daemon] = await running.says(/^\d+$/m);
  assert.equal((await running.ended).code, 3);
  assert.equal(isAlive(Number(daemon)), false);
});

test('run with 1,000 descendants shuts the gate, and leaves none of them', async (t) => {
  const target = { port: await findPort(), host: '127.0.0.1' };
  const running = await runForeign(t, { listen: [target], children: 1_000 });
  const tree = [...findTree(running.program)];
  assert.ok(tree.length > 1_000);
  process.kill(running.pid, 'SIGTERM');
  const { ended, report } = await running.finished;
  assert.deepEqual([ended.code, report?.listeners[0]?.gate], [0, 'refuse'], ended.stderr);
  assert.deepEqual(tree.filter(isAlive), []);
  t.diagnostic(`gate shut after ${report?.listeners[0]?.shutAfter?.toFixed(1)} ms`);
});

test('run that is killed by SIGKILL takes the program and its process group along', async (t) => {
  const running = await runForeign(t, { listen: [{ port: await findPort() }], children: 2 });
  const tree = [...findTree(running.pid)].filter((pid) => pid !== running.pid);
  // The program, its two children, and the keeper.
  assert.equal(tree.length, 4);
  process.kill(running.pid, 'SIGKILL');
  await running.ended;
  while (tree.some(isAlive)) await sleep(5, undefined, { signal: t.signal });
});

suite('as PID 1 of a namespace of processes', { skip: NEEDS_ROOT }, () => {
  const asPid1 = ['unshare', '--pid', '--fork', '--mount-proc', process.execPath, MAIN, 'run', '--', 'sh', '-c'];
  for (const [script, code] of [
    ['exit 0', 0],
    ['exit 1', 1],
    ['kill -TERM $$', 143],
    ['kill -KILL $$', 137],
  ] as const) {
    test(`\`${script}\` ends it with ${code}`, () => {
      const [command, ...args] = [...asPid1, script];
      assert.equal(spawnSync(command, args, { timeout: 20_000 }).status, code);
    });
  }

  test('orphans are waited for: no zombie is left', () => {
    // Each subshell is gone before its child ends.
    const script =
      '(sleep 0.1 &); (sleep 0.1 &); (sleep 0.1 &); sleep 0.6; grep -l "^State:.Z" /proc/[0-9]*/status; exit 7';
    const [command, ...args] = [...asPid1, script];
    const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 });
    assert.deepEqual([status, stdout], [7, '']);
  });
});

test('signals that do not stop it are handed on', async (t) => {
  const running = await runForeign(t, {});
  process.kill(running.pid, 'SIGHUP');
  await running.says(/^SIGHUP$/m);
  process.kill(running.pid, 'SIGUSR2');
  await running.says(/^SIGUSR2$/m);
  process.kill(running.pid, 'SIGTERM');
  assert.equal((await running.finished).ended.code, 0);
});

test('--listen passes a listener that is gated without looking into the program', async (t) => {
  const target = { port: await findPort(), host: '127.0.0.1' };
  const running = await runForeign(t, { inherits: true }, ['--listen', `tcp:127.0.0.1:${target.port}`]);
  const [, fds, pid] = await running.says(/ fds (\S+) for (\S+)/);
  assert.deepEqual([fds, pid], ['1', String(running.program)]);
  const still = holdStill(t, running.program);
  const clients = await queueClients(t, CLIENTS, target);
  process.kill(running.pid, 'SIGTERM');
  await untilAccepted(t, target, false);
  still.goOn();
  assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
  const { ended, report } = await running.finished;
  assert.deepEqual(
    [ended.code, report?.listeners.map(({ gate, reason }) => [gate, reason])],
    [0, [['refuse', undefined]]],
  );
});

test('--listen takes a Unix socket’s file away at the end, and replaces one that was left behind, not one that is in use', (t) => {
  const path = join(makeFolder(t), 'app.sock');
  const run = (...line: readonly string[]): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, [MAIN, 'run', '--listen', `unix:${path}`, '--', ...line], { encoding: 'utf8' });
  assert.equal(run('test', '-S', path).status, 0);
  assert.equal(existsSync(path), false);
  // Left behind by one that was killed.
  assert.equal(run('sh', '-c', 'kill -KILL $PPID').signal, 'SIGKILL');
  assert.equal(existsSync(path), true);
  assert.equal(run('true').status, 0);
  const script = `"${process.execPath}" "${MAIN}" run --listen "unix:${path}" -- true`;
  const { status, stderr } = run('sh', '-c', script);
  assert.equal(status, 2);
  assert.match(String(stderr), /Cannot listen on unix:\S+: bind: EADDRINUSE/);
});

test('a Node program is stopped from inside, where it is not asked otherwise', async (t) => {
  const target = { port: await findPort(), host: '127.0.0.1' };
  const running = await runForeign(t, { listen: [target], atSignal: 'default' }, [], { inside: true });
  const still = holdStill(t, running.program);
  const clients = await queueClients(t, CLIENTS, target);
  process.kill(running.pid, 'SIGTERM');
  // Handed on at once: it waits in the kernel as long as the program is held still.
  await sleep(50);
  still.goOn();
  assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
  const { ended, report } = await running.finished;
  assert.deepEqual([ended.code, report?.notes], [0, ['it stops itself, from inside (lastcall/register)']]);
});

test('--lame-duck serves on before the gate is shut', async (t) => {
  const target = { port: await findPort(), host: '127.0.0.1' };
  const running = await runForeign(t, { listen: [target] }, ['--lame-duck', '500ms']);
  process.kill(running.pid, 'SIGTERM');
  const clients = await queueClients(t, 1, target);
  assert.deepEqual(await clients.outcomes, ['served']);
  assert.equal((await running.finished).ended.code, 0);
});
