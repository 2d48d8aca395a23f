import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { descriptorOf } from '../../src/node/fields.ts';
import { findTree } from '../../src/program/find/process-tree.ts';
import { makeFolder } from '../harness/folders.ts';
import { MAIN, startLastcall } from '../harness/lastcall-command.ts';
import { needsNamespaces } from '../harness/needs.ts';
import { freePort, portOf, untilAccepted } from '../harness/ports.ts';
import { type Ended, holdTree, isAlive, startCommand } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { until } from '../harness/wait.ts';
import { runForeign, startForeign } from '../program/foreign-program-driver.ts';
import { connectHalfOpen } from '../program/half-open-clients.ts';
import { hasPending } from '../program/pending-signals.ts';
import { countUnserved, type QueuedClients, queueClients, tally } from '../program/queued-clients.ts';

const HOST = '127.0.0.1';
const CLIENTS = 10;
const OWN_PROC = ['--pid', '--fork', '--mount-proc'] as const;

suite('a program with listeners of every kind', () => {
  const proof = prove('clients of a program by TCP, IPv6 and a Unix socket, stopped by lastcall run');

  test('run: all are gated, and all clients are served', async (t) => {
    await using scope = new Scope();
    const { listen, port, other, path } = await listenEverywhere(scope);
    const running = scope.use(await runForeign({ listen }));
    const goOn = await holdTree(running.program);
    const queues = await queueAtEach(scope, listen);
    running.signal('SIGTERM');
    for (const target of listen) await untilAccepted(target, false);
    goOn();
    const outcomes = tally((await Promise.all(queues.map((queue) => queue.outcomes))).flat());
    const { ended, report } = await running.finished;
    assert.deepEqual(outcomes, { served: listen.length * CLIENTS });
    assert.equal(ended.code, 0);
    const seen = report?.listeners.map(({ address, gate, left }) => ({ address, gate, left }));
    assert.deepEqual(
      new Set(seen),
      new Set([
        { address: `127.0.0.1:${port}`, gate: 'refuse', left: 0 },
        { address: `[::1]:${other}`, gate: 'refuse', left: 0 },
        { address: `unix:${path}`, gate: 'unix', left: 0 },
      ]),
    );
    // The count includes a probe that came before the gate was shut.
    const queued = report?.listeners.map((listener) => listener.queued) ?? [];
    assert.ok(
      queued.every((number) => number >= CLIENTS),
      JSON.stringify(report),
    );
    proof.held(t, { queued: queued.reduce((sum, number) => sum + number, 0) });
  });

  test('control: by the signal alone clients are lost', async (t) => {
    await using scope = new Scope();
    const { listen } = await listenEverywhere(scope);
    const running = scope.use(await startForeign({ listen }));
    const goOn = await holdTree(running.program);
    const queues = await queueAtEach(scope, listen);
    running.signal('SIGTERM');
    goOn();
    const outcomes = (await Promise.all(queues.map((queue) => queue.outcomes))).flat();
    proof.lost(t, countUnserved(outcomes));
  });
});

interface Listeners {
  readonly listen: readonly (net.TcpNetConnectOpts | net.IpcNetConnectOpts)[];
  readonly port: number;
  readonly other: number;
  readonly path: string;
}

async function listenEverywhere(scope: Scope): Promise<Listeners> {
  const [port, other] = [await freePort(), await freePort()];
  const path = join(scope.use(makeFolder()).path, 'app.sock');
  return { listen: [{ port, host: HOST }, { port: other, host: '::1' }, { path }], port, other, path };
}

async function queueAtEach(scope: Scope, listen: Listeners['listen']): Promise<readonly QueuedClients[]> {
  const queues: QueuedClients[] = [];
  for (const target of listen) queues.push(scope.use(await queueClients(CLIENTS, target)));
  return queues;
}

test('a listener that the program opens during the stop is gated, too', async () => {
  const [port, later] = [await freePort(), await freePort()];
  const target = { port, host: HOST };
  await using running = await runForeign({ listen: [target], later: [{ port: later, host: HOST }] });
  const goOn = await holdTree(running.program);
  using clients = await queueClients(40, target);
  running.signal('SIGTERM');
  await untilAccepted(target, false);
  running.signal('SIGUSR1');
  // The program acts on it when it continues, before 40 clients that take 5 ms each.
  await until('the signal is forwarded', () => hasPending(running.program, 'SIGUSR1'));
  goOn();
  assert.deepEqual(tally(await clients.outcomes), { served: 40 });
  const { report } = await running.finished;
  assert.deepEqual(
    report?.listeners.map(({ address, gate }) => ({ address, gate })),
    [
      { address: `127.0.0.1:${port}`, gate: 'refuse' },
      { address: `127.0.0.1:${later}`, gate: 'refuse' },
    ],
  );
});

const handshakes = prove('clients of lastcall run whose handshakes are under way, with an empty queue');

test('a stop waits for a client whose handshake is under way when the gate is shut, even if the queue is empty', async (t) => {
  const port = await freePort();
  await using running = await runForeign({ listen: [{ port, host: HOST }] });
  using clients = await connectHalfOpen(running.program, port, 3);
  running.signal('SIGTERM');
  await untilAccepted({ port, host: HOST }, false);
  // Time is what is tested: a handshake may take this long. A program that had got the signal would have reset the clients.
  await sleep(600);
  clients.ask();
  assert.deepEqual(tally(await clients.outcomes), { served: 3 });
  const { report } = await running.finished;
  const { halfOpen, left } = report?.listeners[0] ?? {};
  assert.deepEqual({ halfOpen, left }, { halfOpen: 3, left: 0 });
  handshakes.held(t, { halfOpen });
});

test('control: by the signal alone a client whose handshake is under way is reset', async (t) => {
  const port = await freePort();
  await using running = await startForeign({ listen: [{ port, host: HOST }] });
  using clients = await connectHalfOpen(running.program, port, 3);
  running.signal('SIGTERM');
  await running.ended;
  clients.ask();
  handshakes.lost(t, countUnserved(await clients.outcomes));
});

test('a program without a listener gets the signal, and its exit code is passed on', async () => {
  await using running = await runForeign({});
  running.signal('SIGTERM');
  const { ended, report } = await running.finished;
  const { outcome, listeners } = report ?? {};
  assert.deepEqual({ code: ended.code, outcome, listeners }, { code: 0, outcome: 'complete', listeners: [] });
  assert.match(ended.stdout, /^SIGTERM$/m);
});

test('a program that is killed during the stop ends the run with 137, and the report counts the clients left', async () => {
  const target = { port: await freePort(), host: HOST };
  await using running = await runForeign({ listen: [target] });
  await holdTree(running.program);
  using _ = await queueClients(CLIENTS, target);
  running.signal('SIGTERM');
  await untilAccepted(target, false);
  process.kill(running.program, 'SIGKILL');
  const { ended, report } = await running.finished;
  const { code, stderr } = ended;
  assert.deepEqual({ code, signal: report?.program.signal }, { code: 137, signal: 'SIGKILL' }, stderr);
  assert.ok(Number(report?.listeners[0]?.left) >= CLIENTS, JSON.stringify(report));
});

test('a program that ignores the signal is killed at the deadline, and its children with it', async () => {
  const target = { port: await freePort(), host: HOST };
  await using running = await runForeign({ listen: [target], atSignal: 'ignore', children: 3 }, ['--deadline', '1s']);
  const tree = [...findTree(running.program)];
  assert.equal(tree.length, 4);
  running.signal('SIGTERM');
  const { ended, report } = await running.finished;
  const { outcome, listeners } = report ?? {};
  const gate = listeners?.[0]?.gate;
  assert.deepEqual({ code: ended.code, outcome, gate }, { code: 137, outcome: 'killed', gate: 'refuse' });
  assert.match(ended.stdout, /^SIGTERM$/m);
  assert.deepEqual(tree.filter(isAlive), []);
});

test('a second signal ends the lame duck, and a third kills the program', async () => {
  const target = { port: await freePort(), host: HOST };
  await using running = await runForeign({ listen: [target], atSignal: 'ignore' }, ['--lame-duck', '1m']);
  running.signal('SIGTERM');
  // A signal within 500 ms counts as the first. It is sent again in case the first was late.
  await sleep(600);
  running.signal('SIGINT');
  const again = setInterval(() => running.signal('SIGINT'), 5_000);
  try {
    await running.prints(/^SIGTERM$/m);
  } finally {
    clearInterval(again);
  }
  running.signal('SIGTERM');
  const { ended, report } = await running.finished;
  const { reason, program, outcome } = report ?? {};
  assert.deepEqual(
    { code: ended.code, reason, signal: program?.signal, outcome },
    { code: 137, reason: 'SIGTERM', signal: 'SIGKILL', outcome: 'killed' },
  );
});

test('a daemon that the program leaves behind is ended with it', async () => {
  await using running = startLastcall(['run', '--', '/bin/sh', '-c', 'setsid sleep 600 & echo $!; exit 3']);
  const [daemon] = await running.prints(/^\d+$/m);
  assert.equal((await running.ended).code, 3);
  assert.equal(isAlive(Number(daemon)), false);
});

test('if run is killed by SIGKILL, the program and its process group end, too', async () => {
  await using running = await runForeign({ listen: [{ port: await freePort() }], children: 2 });
  const tree = [...findTree(running.pid)].filter((pid) => pid !== running.pid);
  // The program, its two children, and the watchdog.
  assert.equal(tree.length, 4);
  running.signal('SIGKILL');
  await running.ended;
  await until('all of the program are gone', () => !tree.some(isAlive));
});

suite('as PID 1 of a namespace of processes', { skip: needsNamespaces(...OWN_PROC) }, () => {
  const asPid1 = ['unshare', ...OWN_PROC, process.execPath, MAIN, 'run', '--', 'sh', '-c'];
  for (const [script, code] of [
    ['exit 0', 0],
    ['exit 1', 1],
    ['kill -TERM $$', 143],
    ['kill -KILL $$', 137],
  ] as const) {
    test(`\`${script}\` ends it with ${code}`, async () => {
      await using running = startCommand([...asPid1, script]);
      assert.equal((await running.ended).code, code);
    });
  }

  test('it waits for orphans: no zombie is left', async () => {
    // Each subshell ends before its child. A zombie keeps its name.
    const script = `(sleep 0.3 &); (sleep 0.3 &); (sleep 0.3 &)
      tries=0
      while [ $tries -lt 500 ] && grep -qs "^Name:.sleep" /proc/[0-9]*/status; do tries=$((tries + 1)); sleep 0.01; done
      grep -ls "^State:.Z" /proc/[0-9]*/status; exit 7`;
    await using running = startCommand([...asPid1, script]);
    const { code, stdout } = await running.ended;
    assert.deepEqual({ code, stdout }, { code: 7, stdout: '' });
  });
});

test('signals that do not ask for a stop are forwarded', async () => {
  await using running = await runForeign({});
  running.signal('SIGHUP');
  await running.prints(/^SIGHUP$/m);
  running.signal('SIGUSR2');
  await running.prints(/^SIGUSR2$/m);
  running.signal('SIGTERM');
  assert.equal((await running.finished).ended.code, 0);
});

const passed = prove('clients of a listener that lastcall run has passed on (--listen)');

test('--listen passes a listener that can be gated without inspecting the program', async (t) => {
  const target = { port: await freePort(), host: HOST };
  await using running = await runForeign({ inherits: true }, ['--listen', `tcp:127.0.0.1:${target.port}`]);
  const [, fds, pid] = await running.prints(/ fds (\S+) for (\S+)/);
  assert.deepEqual({ fds, pid }, { fds: '1', pid: String(running.program) });
  const goOn = await holdTree(running.program);
  using clients = await queueClients(CLIENTS, target);
  running.signal('SIGTERM');
  await untilAccepted(target, false);
  goOn();
  assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
  const { ended, report } = await running.finished;
  assert.equal(ended.code, 0);
  assert.deepEqual(
    report?.listeners.map(({ gate, reason }) => ({ gate, reason })),
    [{ gate: 'refuse', reason: undefined }],
  );
  passed.held(t, { queued: report?.listeners[0]?.queued });
});

test('control: by the signal alone the clients of a listener that was passed on are lost', async (t) => {
  const server = net.createServer().listen({ port: 0, host: HOST });
  await once(server, 'listening');
  const target = { port: portOf(server), host: HOST };
  const stdio = ['pipe', 'pipe', 'pipe', descriptorOf(server) ?? -1] as const;
  await using running = await startForeign({ inherits: true }, { stdio: [...stdio] });
  // From now on only the program holds it.
  await once(server.close(), 'close');
  const goOn = await holdTree(running.program);
  using clients = await queueClients(CLIENTS, target);
  running.signal('SIGTERM');
  goOn();
  passed.lost(t, countUnserved(await clients.outcomes));
});

test('--listen deletes a Unix socket’s file at the end, and replaces one without a listener, but not one in use', async () => {
  using folder = makeFolder();
  const path = join(folder.path, 'app.sock');
  const run = async (...line: readonly string[]): Promise<Ended> => {
    await using running = startLastcall(['run', '--listen', `unix:${path}`, '--', ...line]);
    return await running.ended;
  };
  assert.equal((await run('test', '-S', path)).code, 0);
  assert.equal(existsSync(path), false);
  // A run that is killed leaves the file behind.
  assert.equal((await run('/bin/sh', '-c', 'kill -KILL $PPID')).signal, 'SIGKILL');
  assert.equal(existsSync(path), true);
  assert.equal((await run('/bin/true')).code, 0);
  const script = `"${process.execPath}" "${MAIN}" run --listen "unix:${path}" -- true`;
  const { code, stderr } = await run('/bin/sh', '-c', script);
  assert.equal(code, 2);
  assert.match(stderr, /Cannot listen on unix:\S+: bind: EADDRINUSE/);
});

const inside = prove('clients of a Node program that lastcall run stops from inside');

test('a Node program is stopped from inside by default', async (t) => {
  const target = { port: await freePort(), host: HOST };
  await using running = await runForeign({ listen: [target], atSignal: 'default' }, [], { inside: true });
  const goOn = await holdTree(running.program);
  using clients = await queueClients(CLIENTS, target);
  running.signal('SIGTERM');
  // It is forwarded at once, and pending while the program is held.
  await until('the signal is forwarded', () => hasPending(running.program, 'SIGTERM'));
  goOn();
  assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
  const { ended, report } = await running.finished;
  const notes = report?.notes;
  assert.deepEqual(
    { code: ended.code, notes },
    { code: 0, notes: ['it stops itself, from inside (lastcall/register)'] },
  );
  inside.held(t, { queued: CLIENTS });
});

test('control: by the signal alone the clients of a Node program without a handler are lost', async (t) => {
  const target = { port: await freePort(), host: HOST };
  await using running = await startForeign({ listen: [target], atSignal: 'default' });
  const goOn = await holdTree(running.program);
  using clients = await queueClients(CLIENTS, target);
  running.signal('SIGTERM');
  goOn();
  inside.lost(t, countUnserved(await clients.outcomes));
});

test('with --lame-duck it keeps serving before the gate is shut', async () => {
  const target = { port: await freePort(), host: HOST };
  await using running = await runForeign({ listen: [target] }, ['--lame-duck', '500ms']);
  running.signal('SIGTERM');
  using clients = await queueClients(1, target);
  assert.deepEqual(await clients.outcomes, ['served']);
  assert.equal((await running.finished).ended.code, 0);
});
