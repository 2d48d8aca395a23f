import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { runStorm, type Storm } from '../../src/storm/storm.ts';
import { type Program, startProgram } from '../harness/observed-program.ts';
import { freePort, missing } from '../proxies/proxy.ts';
import { Activator } from './activator.ts';
import { listensAt } from './listens-at.ts';

const CLIENTS = 40;
const RESTARTS = 4;
/** So many more come while a service that is to stop is held up, so that they wait in the kernel. */
const WAITING = 20;

/** What one new client is answered. */
async function ask(where: { port: number } | { socketPath: string }, path = '/'): Promise<string> {
  const request = http.get({ ...where, host: '127.0.0.1', path, agent: false });
  const [response] = await once(request, 'response');
  return text(response);
}

/** So many new clients, once they are connected: what each is answered, or which error it sees. */
async function come(t: TestContext, port: number): Promise<readonly Promise<string>[]> {
  const sockets = await Promise.all(Array.from({ length: WAITING }, () => connect(t, port)));
  return sockets.map((socket) => getOn(socket).catch((error: NodeJS.ErrnoException) => error.code ?? error.message));
}

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

function startStorm(port: number): Storm {
  // The limits are the test's own: no client may run into one.
  const limits = { timeout: 60_000, duration: 60_000 };
  return runStorm({ target: { host: '127.0.0.1', port }, clients: CLIENTS, afterRefusal: 10, ...limits });
}

async function servesMore(storm: Storm): Promise<void> {
  await storm.served(storm.counts.served + 5 * CLIENTS);
}

describe('under an activator that keeps the socket', () => {
  it('a restart loses nobody: who comes while no process runs is served by the next, and the gate is never shut', async (t) => {
    const activator = new Activator(t);
    const storm = startStorm(activator.port);
    t.after(() => storm.stop());
    for (let restart = 1; restart <= RESTARTS; restart += 1) {
      const { program, pid } = await activator.runs(restart);
      await servesMore(storm);
      activator.startAt(Infinity);
      process.kill(pid, 'SIGSTOP');
      const waiting = await come(t, activator.port);
      assert(activator.queued >= WAITING);
      process.kill(pid, 'SIGTERM');
      process.kill(pid, 'SIGCONT');
      const { report } = await program.next('closed');
      const [listener] = report?.listeners ?? [];
      assert.deepEqual(
        [report?.outcome, listener?.gate, listener?.reason],
        ['complete', 'shared', 'it came to listen as a descriptor or handle'],
      );
      assert.equal((await program.ended).code, 0);
      const inBetween = await come(t, activator.port);
      assert.deepEqual([activator.running, activator.queued >= WAITING], [undefined, true]);
      activator.startAt(1);
      const { pid: successor } = await activator.runs(restart + 1);
      for (const answer of inBetween) assert.equal(await answer, `web ${successor}`);
      for (const answer of waiting) assert([`web ${pid}`, `web ${successor}`].includes(await answer), await answer);
    }
    await servesMore(storm);
    storm.stop();
    const { counts, lost } = await storm.finished;
    t.diagnostic(JSON.stringify(counts));
    assert.deepEqual([lost, counts.refused, counts.failed], [0, 0, 0]);
  });
});

describe('a service that owns its port (control)', () => {
  it('loses clients at the same restarts when it closes plainly, and refuses others', async (t) => {
    const { counts, lost, waited } = await restartOwner(t, 'plain');
    assert((waited.get('ECONNRESET') ?? 0) > (RESTARTS * WAITING) / 2);
    assert(lost > 0 && counts.refused > 0);
  });

  it('loses none when it closes gracefully, and refuses who comes while no process runs', async (t) => {
    const { counts, lost, waited } = await restartOwner(t, 'graceful');
    assert.deepEqual([lost, waited.get('served')], [0, RESTARTS * WAITING]);
    assert(counts.refused > 0);
  });

  async function restartOwner(t: TestContext, how: 'plain' | 'graceful') {
    const port = await freePort();
    const start = (): Program => startProgram(t, 'lifecycle/activated-service.js', { args: [how, `web:${port}`] });
    let program = start();
    let { pid } = await program.next('listening');
    const storm = startStorm(port);
    t.after(() => storm.stop());
    const waited = new Map<string, number>();
    for (let restart = 1; restart <= RESTARTS; restart += 1) {
      await servesMore(storm);
      process.kill(pid, 'SIGSTOP');
      const waiting = await come(t, port);
      process.kill(pid, 'SIGTERM');
      process.kill(pid, 'SIGCONT');
      await program.ended;
      for (const answer of await Promise.all(waiting)) count(waited, answer === `web ${pid}` ? 'served' : answer);
      program = start();
      ({ pid } = await program.next('listening'));
    }
    await servesMore(storm);
    storm.stop();
    const result = await storm.finished;
    t.diagnostic(JSON.stringify({ ...result.counts, waiting: Object.fromEntries(waited) }));
    return { ...result, waited };
  }
});

describe('systemd-socket-activate', { skip: missing('systemd-socket-activate') }, () => {
  it('becomes the service, which gets its sockets by their names, serves, and closes', async (t) => {
    const port = await freePort();
    const path = join(tmpdir(), `lastcall-${randomUUID()}`);
    t.after(() => rmSync(path, { force: true }));
    const program = startProgram(t, 'lifecycle/activated-service.js', {
      below: ['systemd-socket-activate', '-l', `127.0.0.1:${port}`, '-l', path, '--fdname=web:admin'],
      args: ['graceful', 'admin', 'web'],
    });
    await listensAt(port);
    const first = await ask({ port });
    const { pid } = await program.next('listening');
    assert.deepEqual([first, await ask({ socketPath: path })], [`web ${pid}`, `admin ${pid}`]);
    const held = ask({ port }, '/until-the-stop');
    await program.next('holds');
    process.kill(pid, 'SIGTERM');
    assert.equal(await held, `web ${pid}`);
    const { report } = await program.next('closed');
    assert.deepEqual(
      report?.listeners.map(({ gate, reason }) => `${gate}: ${reason}`),
      Array(2).fill('shared: it came to listen as a descriptor or handle'),
    );
    assert.equal((await program.ended).code, 0);
  });

  it('is not understood through a shell that stays in between, which is told', async (t) => {
    const port = await freePort();
    const shell = ['sh', '-c', 'setpriv --pdeathsig KILL "$@"; true', 'sh'];
    const program = startProgram(t, 'lifecycle/activated-service.js', {
      below: ['systemd-socket-activate', '-l', `127.0.0.1:${port}`, '--fdname=web', ...shell],
      args: ['graceful', 'web'],
    });
    await listensAt(port);
    const client = await connect(t, port);
    const { pid, facts } = await program.next('listening');
    assert.notDeepEqual(facts?.ports, [port]);
    client.destroy();
    process.kill(pid, 'SIGTERM');
    assert.match((await program.ended).stderr, /The sockets in LISTEN_FDS are not used: LISTEN_PID is \d+, and this/);
  });

  it('is understood through a shell that becomes the service', async (t) => {
    const port = await freePort();
    const shell = ['sh', '-c', 'exec "$@"', 'sh'];
    const program = startProgram(t, 'lifecycle/activated-service.js', {
      below: ['systemd-socket-activate', '-l', `127.0.0.1:${port}`, '--fdname=web', ...shell],
      args: ['graceful', 'web'],
    });
    await listensAt(port);
    assert.match(await ask({ port }), /^web \d+$/);
    assert.deepEqual((await program.next('listening')).facts?.ports, [port]);
  });
});

/** A client that is connected: the kernel has answered it, whoever may serve it. */
async function connect(t: TestContext, port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Asks on a connection, and returns the answer's body. */
async function getOn(socket: net.Socket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  return (await text(socket)).split('\r\n\r\n', 2)[1] ?? '';
}
