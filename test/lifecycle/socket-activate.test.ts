import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { makeFolder } from '../harness/folders.ts';
import { needsPrograms } from '../harness/needs.ts';
import { observeFixture } from '../harness/observed-program.ts';
import { freePort } from '../harness/ports.ts';
import { listensAt } from './listens-at.ts';
import { askOnce } from './one-request.ts';

/** The answer to one new client. */
async function ask(where: { port: number } | { socketPath: string }, path = '/'): Promise<string> {
  const request = http.get({ ...where, host: '127.0.0.1', path, agent: false });
  const [response] = await once(request, 'response');
  return text(response);
}

describe('systemd-socket-activate', { skip: needsPrograms('systemd-socket-activate') }, () => {
  it('becomes the service, which gets its sockets by their names, serves, and closes', async () => {
    const port = await freePort();
    using folder = makeFolder();
    const path = join(folder.path, 'socket');
    await using program = observeFixture('lifecycle/activated-service', {
      below: ['systemd-socket-activate', '-l', `127.0.0.1:${port}`, '-l', path, '--fdname=web:admin'],
      args: ['graceful', 'admin', 'web'],
    });
    await listensAt(port);
    const web = await ask({ port });
    const { pid } = await program.next('listening');
    const admin = await ask({ socketPath: path });
    assert.deepEqual({ web, admin }, { web: `web ${pid}`, admin: `admin ${pid}` });
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

  it('passes no sockets through a shell that stays in between, which causes a warning', async () => {
    const port = await freePort();
    const shell = ['sh', '-c', 'setpriv --pdeathsig KILL "$@"; true', 'sh'];
    await using program = observeFixture('lifecycle/activated-service', {
      below: ['systemd-socket-activate', '-l', `127.0.0.1:${port}`, '--fdname=web', ...shell],
      args: ['graceful', 'web'],
    });
    await listensAt(port);
    using client = askOnce({ port, host: '127.0.0.1' });
    await client.connected;
    const { pid, facts } = await program.next('listening');
    assert.notDeepEqual(facts?.ports, [port]);
    client[Symbol.dispose]();
    process.kill(pid, 'SIGTERM');
    assert.match((await program.ended).stderr, /The sockets in LISTEN_FDS are not used: LISTEN_PID is \d+, and this/);
  });

  it('passes its sockets through a shell that becomes the service', async () => {
    const port = await freePort();
    const shell = ['sh', '-c', 'exec "$@"', 'sh'];
    await using program = observeFixture('lifecycle/activated-service', {
      below: ['systemd-socket-activate', '-l', `127.0.0.1:${port}`, '--fdname=web', ...shell],
      args: ['graceful', 'web'],
    });
    await listensAt(port);
    assert.match(await ask({ port }), /^web \d+$/);
    assert.deepEqual((await program.next('listening')).facts?.ports, [port]);
  });
});
