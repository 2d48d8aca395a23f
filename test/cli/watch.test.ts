import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { refuseNewConnections } from '../../src/listener/gate/refuse.ts';
import { shutUnixListener } from '../../src/listener/gate/unix.ts';
import type { ListenerSample } from '../../src/program/watch/sample-listeners.ts';
import type { WatchSample } from '../../src/program/watch/sampler.ts';
import { AS_NOBODY, MAIN, startLastcall, startLastcallBelow } from '../harness/lastcall-command.ts';
import { needsNamespaces, needsPrograms, needsRoot } from '../harness/needs.ts';
import { freePort } from '../harness/ports.ts';
import { type Ended, holdTree, startCommand } from '../harness/processes.ts';
import { Loopback } from '../linux/loopback.ts';
import { startForeign } from '../program/foreign-program-driver.ts';
import { queueClients } from '../program/queued-clients.ts';
import { needsTerminal, openTerminal } from './terminal.ts';

const HOST = '127.0.0.1';

suite('watch shows', () => {
  test('the accept queue, its limit, and the connections by state', async () => {
    const target = { host: HOST, port: await freePort() };
    await using running = await startForeign({ listen: [target] });
    await holdTree(running.pid);
    using _ = await queueClients(7, target);
    const { queued, limit, gate, connections, drops } = await lookAt(`:${target.port}`);
    assert.deepEqual(
      { queued, gate, established: connections.established, drops },
      { queued: 7, gate: 'open', established: 7, drops: 0 },
    );
    assert.ok(Number(limit) > 7);
  });

  test('how many clients a full queue has turned away', async () => {
    await using loopback = new Loopback();
    const { port } = await loopback.startListener({ backlog: 1 });
    // The queue holds two. All SYNs go out in the next tick, and nothing is accepted before the next turn of the loop.
    for (let client = 0; client < 8; client += 1) loopback.beginConnect({ host: HOST, port });
    const { drops } = await lookAt(`:${port}`);
    assert.ok(Number(drops) > 0);
  });

  test('a shut gate, of TCP and of Unix', async () => {
    await using loopback = new Loopback();
    const { fd, port } = await loopback.startListener();
    refuseNewConnections(fd);
    assert.equal((await lookAt(`:${port}`)).gate, 'refuse');
    const path = loopback.socketPath();
    const unix = await loopback.startListener({ path });
    assert.equal((await lookAt(path)).gate, 'open');
    shutUnixListener(unix.fd);
    const { gate, family } = await lookAt(path);
    assert.deepEqual({ gate, family }, { gate: 'unix', family: 'Unix' });
  });

  test('each of two listeners at one port, with its own connections', async () => {
    await using loopback = new Loopback();
    const { port } = await loopback.startListener();
    await loopback.startListener({ host: '127.0.0.2', port });
    await loopback.connect({ host: '127.0.0.2', port });
    const { listeners } = await lookOnce(`:${port}`);
    const open = Object.fromEntries(listeners.map(({ address, connections }) => [address, connections.established]));
    assert.deepEqual(open, { [`127.0.0.1:${port}`]: 0, [`127.0.0.2:${port}`]: 1 });
  });

  test('a program in another network namespace, with the data of /proc', {
    skip: needsNamespaces('--net') || needsPrograms('python3'),
  }, async () => {
    const script =
      'import socket,sys; s=socket.create_server(("127.0.0.1",0)); print("up",flush=True); sys.stdin.read()';
    await using running = startCommand(['unshare', '--net', 'python3', '-c', script]);
    await running.prints(/up/);
    const { listeners } = await lookOnce(String(running.pid));
    assert.deepEqual(
      listeners.map(({ limit, drops, gate }) => ({ limit, drops, gate })),
      [{ limit: undefined, drops: undefined, gate: 'open' }],
    );
  });

  test('one line of JSON per sample, with rates from the second on', async () => {
    await using loopback = new Loopback();
    const { port } = await loopback.startListener();
    await using watching = startLastcall(['watch', `:${port}`, '--json', '--interval', '100ms']);
    await watching.prints(/\n/);
    await loopback.connect({ host: HOST, port });
    await watching.prints(/"established":1/);
    const [text] = await watching.prints(/^.*"rates":\{"newConnections":[1-9].*\n/m);
    const sample: WatchSample = JSON.parse(text);
    assert.equal(sample.listeners[0]?.address, `${HOST}:${port}`);
    watching.signal('SIGTERM');
    assert.equal((await watching.ended).code, 143);
  });

  test('a process until it ends', async () => {
    await using running = await startForeign({ listen: [{ host: HOST, port: await freePort() }] });
    await using watching = startLastcall(['watch', String(running.pid), '--json', '--interval', '100ms']);
    await watching.prints(/\n/);
    running.signal('SIGKILL');
    const { code, stderr } = await watching.ended;
    assert.deepEqual({ code, stderr }, { code: 0, stderr: `lastcall: process ${running.pid} has ended\n` });
  });
});

suite('a user without rights', { skip: needsRoot }, () => {
  test('sees a port, but not the program of another user', async () => {
    const port = await freePort();
    await using running = await startForeign({ listen: [{ host: HOST, port }] });
    const seen = await watchBelow(AS_NOBODY, `:${port}`);
    assert.match(seen.stdout, new RegExp(`127\\.0\\.0\\.1:${port} +open`));
    const hidden = await watchBelow(AS_NOBODY, String(running.pid));
    assert.equal(hidden.code, 77);
    assert.match(hidden.stderr, /This user cannot inspect process \d+: name its port instead/);
  });
});

suite('in a terminal', { skip: needsTerminal }, () => {
  test('one screen shows the queue of the last minute; p pauses it, and q restores the terminal', async () => {
    const target = { host: HOST, port: await freePort() };
    await using running = await startForeign({ listen: [target] });
    const goOn = await holdTree(running.pid);
    using _ = await queueClients(5, target);
    using terminal = openTerminal([process.execPath, MAIN, 'watch', `:${target.port}`, '--interval', '200ms']);
    const screen = await terminal.shows(/█\| at most 5/);
    assert.match(screen, new RegExp(`^lastcall watch :${target.port} .*q quits`));
    assert.match(screen, /LISTENER +GATE +QUEUED +HALF-OPEN +DROPS +ESTAB +CLOSE-W +FIN-W +TIME-W/);
    assert.match(screen, new RegExp(`127.0.0.1:${target.port} +open +5 of \\d+ +0 +0 +5 `));
    terminal.press('p');
    await terminal.shows(/PAUSED/);
    goOn();
    terminal.resize(60, 10);
    const paused = await terminal.shows(/PAUSED/);
    assert.match(paused, /5 of/);
    terminal.press('p');
    await terminal.shows(/ 0 of/);
    terminal.press('q');
    const left = await terminal.shows(/ended with 0/);
    assert.doesNotMatch(left, /LISTENER/);
  });

  test('Ctrl-C ends it, and NO_COLOR turns colours off', async () => {
    await using loopback = new Loopback();
    const { fd, port } = await loopback.startListener();
    refuseNewConnections(fd);
    using terminal = openTerminal([process.execPath, MAIN, 'watch', `:${port}`], { NO_COLOR: '1' });
    await terminal.shows(/refuse/);
    terminal.press('C-c');
    await terminal.shows(/ended with 0/);
  });
});

async function lookOnce(target: string): Promise<WatchSample> {
  await using watching = startLastcall(['watch', target, '--once', '--json']);
  const { stdout, stderr, code } = await watching.ended;
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

async function lookAt(target: string): Promise<ListenerSample> {
  const [only, ...others] = (await lookOnce(target)).listeners;
  assert.ok(only !== undefined && others.length === 0);
  return only;
}

async function watchBelow(before: readonly string[], target: string): Promise<Ended> {
  await using watching = startLastcallBelow(before, ['watch', target, '--once']);
  return await watching.ended;
}
