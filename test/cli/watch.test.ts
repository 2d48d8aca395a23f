import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import type { ListenerSample } from '../../src/program/sample-listeners.ts';
import type { WatchSample } from '../../src/program/watcher.ts';
import { refuseNewConnections } from '../../src/listener/gate/refuse.ts';
import { shutUnixListener } from '../../src/listener/gate/unix.ts';
import { descriptorOf } from '../../src/node-fields.ts';
import { NEEDS_ROOT } from '../linux/run-child.ts';
import { holdStill, startForeign } from '../program/foreign-program.ts';
import { type Ended, findPort, MAIN, start, startLastcall } from '../harness/lastcall-command.ts';
import { makeFolder } from '../program/programs.ts';
import { queueClients } from '../program/queued-clients.ts';
import { openTerminal, terminalMissing } from './terminal.ts';

const HOST = '127.0.0.1';
const AS_NOBODY = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'] as const;

suite('what is watched', () => {
  test('is the accept queue, its limit, and the connections by state', async (t) => {
    const target = { host: HOST, port: await findPort() };
    const running = await startForeign(t, { listen: [target] });
    holdStill(t, running.pid);
    await queueClients(t, 7, target);
    const { queued, limit, gate, connections, drops } = await lookAt(t, `:${target.port}`);
    assert.deepEqual([queued, gate, connections.established, drops], [7, 'open', 7, 0]);
    assert.ok(Number(limit) > 7);
  });

  test('is what a full queue has turned away', async (t) => {
    const { port } = await listen(t, { host: HOST, backlog: 1 });
    const blocked = process.hrtime.bigint();
    const clients = Array.from({ length: 8 }, () => net.connect(port, HOST));
    t.after(() => clients.forEach((client) => client.destroy()));
    clients.forEach((client) => client.on('error', () => {}));
    // Nothing is accepted before the next turn of the loop; the kernel answers meanwhile.
    while (process.hrtime.bigint() - blocked < 50_000_000n);
    const { drops } = await lookAt(t, `:${port}`);
    assert.ok(Number(drops) > 0);
  });

  test('is a gate that was shut, of TCP and of Unix', async (t) => {
    const { server, port } = await listen(t, { host: HOST });
    refuseNewConnections(descriptorOf(server) ?? -1);
    assert.equal((await lookAt(t, `:${port}`)).gate, 'refuse');
    const path = join(makeFolder(t), 'app.sock');
    const unix = await listen(t, { path });
    assert.deepEqual((await lookAt(t, path)).gate, 'open');
    shutUnixListener(descriptorOf(unix.server) ?? -1);
    const { gate, family } = await lookAt(t, path);
    assert.deepEqual([gate, family], ['unix', 'Unix']);
  });

  test('is each of two listeners at one port, with its own connections', async (t) => {
    const first = await listen(t, { host: HOST });
    await listen(t, { host: '127.0.0.2', port: first.port });
    const client = net.connect(first.port, '127.0.0.2');
    t.after(() => client.destroy());
    await once(client, 'connect');
    const { listeners } = await lookOnce(t, `:${first.port}`);
    const open = Object.fromEntries(listeners.map(({ address, connections }) => [address, connections.established]));
    assert.deepEqual(open, { [`127.0.0.1:${first.port}`]: 0, [`127.0.0.2:${first.port}`]: 1 });
  });

  test('is a program in another network namespace, as far as /proc tells', { skip: NEEDS_ROOT }, async (t) => {
    const script =
      'import socket,sys; s=socket.create_server(("127.0.0.1",0)); print("up",flush=True); sys.stdin.read()';
    const running = start(t, ['unshare', '--net', 'python3', '-c', script]);
    await running.says(/up/);
    const { listeners } = await lookOnce(t, String(running.pid));
    assert.equal(listeners.length, 1);
    assert.deepEqual([listeners[0]?.limit, listeners[0]?.drops, listeners[0]?.gate], [undefined, undefined, 'open']);
  });

  test('is a line of JSON each time, from the second on with rates', async (t) => {
    const { port } = await listen(t, { host: HOST });
    const watching = startLastcall(t, ['watch', `:${port}`, '--json', '--interval', '100ms']);
    await watching.says(/\n/);
    const client = net.connect(port, HOST);
    t.after(() => client.destroy());
    await watching.says(/"established":1/);
    const [text] = await watching.says(/^.*"rates":\{"newConnections":[1-9].*\n/m);
    const sample: WatchSample = JSON.parse(text);
    assert.equal(sample.listeners[0]?.address, `${HOST}:${port}`);
    process.kill(watching.pid, 'SIGTERM');
    assert.equal((await watching.ended).code, 143);
  });

  test('ends with the process', async (t) => {
    const running = await startForeign(t, { listen: [{ host: HOST, port: await findPort() }] });
    const watching = startLastcall(t, ['watch', String(running.pid), '--json', '--interval', '100ms']);
    await watching.says(/\n/);
    process.kill(running.pid, 'SIGKILL');
    const { code, stderr } = await watching.ended;
    assert.deepEqual([code, stderr], [0, `lastcall: process ${running.pid} has ended\n`]);
  });
});

suite('somebody without rights', { skip: NEEDS_ROOT }, () => {
  test('sees a port, and not the program of another user', async (t) => {
    const port = await findPort();
    const running = await startForeign(t, { listen: [{ host: HOST, port }] });
    const seen = await watchBelow(t, AS_NOBODY, `:${port}`);
    assert.match(seen.stdout, new RegExp(`127\\.0\\.0\\.1:${port} +open`));
    const hidden = await watchBelow(t, AS_NOBODY, String(running.pid));
    assert.equal(hidden.code, 77);
    assert.match(hidden.stderr, /cannot be looked into by this user: name its port instead/);
  });
});

suite('in a terminal', { skip: terminalMissing }, () => {
  test('is one screen with the queue of the last minute, which p pauses and q leaves as it was', async (t) => {
    const target = { host: HOST, port: await findPort() };
    const running = await startForeign(t, { listen: [target] });
    const still = holdStill(t, running.pid);
    await queueClients(t, 5, target);
    const terminal = openTerminal(t, [process.execPath, MAIN, 'watch', `:${target.port}`, '--interval', '200ms']);
    const screen = await terminal.shows(/█\| at most 5/);
    assert.match(screen, new RegExp(`^lastcall watch :${target.port} .*q quits`));
    assert.match(screen, /LISTENER +GATE +QUEUED +HALF-OPEN +DROPS +ESTAB +CLOSE-W +FIN-W +TIME-W/);
    assert.match(screen, new RegExp(`127.0.0.1:${target.port} +open +5 of \\d+ +0 +0 +5 `));
    terminal.press('p');
    await terminal.shows(/PAUSED/);
    still.goOn();
    terminal.resize(60, 10);
    const paused = await terminal.shows(/PAUSED/);
    assert.match(paused, /5 of/);
    terminal.press('p');
    await terminal.shows(/ 0 of/);
    terminal.press('q');
    const left = await terminal.shows(/ended with 0/);
    assert.doesNotMatch(left, /LISTENER/);
  });

  test('Ctrl-C leaves it, and NO_COLOR takes the colours', async (t) => {
    const { server, port } = await listen(t, { host: HOST });
    refuseNewConnections(descriptorOf(server) ?? -1);
    const terminal = openTerminal(t, [process.execPath, MAIN, 'watch', `:${port}`], { NO_COLOR: '1' });
    await terminal.shows(/refuse/);
    terminal.press('C-c');
    await terminal.shows(/ended with 0/);
  });
});

interface ListenAt extends net.ListenOptions {
  readonly host?: string;
}

async function listen(t: TestContext, at: ListenAt): Promise<{ readonly server: net.Server; readonly port: number }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  t.after(() => {
    server.close();
    sockets.forEach((socket) => socket.destroy());
  });
  server.listen(at.path === undefined ? { port: 0, ...at } : at);
  await once(server, 'listening');
  const address = server.address();
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0 };
}

async function lookOnce(t: TestContext, target: string): Promise<WatchSample> {
  const { stdout, stderr, code } = await startLastcall(t, ['watch', target, '--once', '--json']).ended;
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

async function lookAt(t: TestContext, target: string): Promise<ListenerSample> {
  const [only, ...others] = (await lookOnce(t, target)).listeners;
  assert.ok(only !== undefined && others.length === 0);
  return only;
}

function watchBelow(t: TestContext, before: readonly string[], target: string): Promise<Ended> {
  return start(t, [...before, process.execPath, MAIN, 'watch', target, '--once']).ended;
}
