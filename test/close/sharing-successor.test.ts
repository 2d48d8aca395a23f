import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, renameSync } from 'node:fs';
import http from 'node:http';
import type { ListenOptions } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { copyDescriptorOf } from '../../src/linux/process/pidfd.ts';
import { createNamingServer } from '../fixtures/sharing/share-orders.ts';
import { makeFolder } from '../harness/folders.ts';
import { observeFixture, type Program } from '../harness/observed-program.ts';
import { freePort } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { SOON } from './calls-servers.ts';

const US = String(process.pid);

async function start(where: ListenOptions, scope: Scope, ...args: readonly string[]): Promise<StartedProgram> {
  const closing = scope.use(observeFixture('sharing/share-copied', { args: [JSON.stringify(where), ...args] }));
  const { facts = {} } = await closing.next('listening');
  return { closing, fd: Number(facts.fd), other: String(facts.other) };
}

interface StartedProgram {
  readonly closing: Program;
  readonly fd: number;
  readonly other: string;
}

/** Who serves a new client there, or the error's code. */
function ask(where: ListenOptions): Promise<string> {
  const options = where.path === undefined ? { host: where.host, port: where.port } : { socketPath: where.path };
  return new Promise((resolve) => {
    const request = http.get({ ...options, agent: false }, (response) => {
      let body = '';
      response.on('data', (bytes) => (body += String(bytes)));
      response.on('end', () => resolve(body));
    });
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** This process is the successor: it copies the listener, of which the program knows nothing, and serves on it. */
async function succeedByCopy({ closing, fd }: StartedProgram, scope: Scope): Promise<void> {
  const server = createNamingServer().listen({ fd: copyDescriptorOf(closing.pid, fd) });
  await once(server, 'listening');
  scope.defer(() => server.close());
}

for (const family of ['TCP', 'Unix'] as const) {
  suite(`a ${family} listener that a successor has copied`, () => {
    const proof = prove(`new clients of a successor that has copied a ${family} listener`);

    async function whereFor(scope: Scope): Promise<ListenOptions> {
      if (family === 'Unix') return { path: join(scope.use(makeFolder()).path, 'app.sock') };
      return { host: '127.0.0.1', port: await freePort() };
    }

    test('is left to the successor with `gate: shared`', async (t) => {
      await using scope = new Scope();
      const where = await whereFor(scope);
      const started = await start(where, scope);
      await succeedByCopy(started, scope);
      const report = await started.closing.close({ gate: 'shared', ...SOON });
      assert.deepEqual(
        { outcome: report.outcome, gates: report.listeners.map(({ gate, reason }) => ({ gate, reason })) },
        { outcome: 'complete', gates: [{ gate: 'shared', reason: "`gate: 'shared'` says so" }] },
      );
      assert.equal(await ask(where), US);
      proof.held(t, { clients: 1 });
    });

    test('control: without the option it is shut for the successor, too', async (t) => {
      await using scope = new Scope();
      const where = await whereFor(scope);
      const started = await start(where, scope);
      await succeedByCopy(started, scope);
      await started.closing.close(SOON);
      proof.lost(t, (await ask(where)) === US ? 0 : 1);
    });
  });
}

suite('the path of a Unix listener', () => {
  const proof = prove('new clients at the path of a Unix listener that others serve');

  test('stays where a child serves it', async (t) => {
    await using scope = new Scope();
    const path = join(scope.use(makeFolder()).path, 'app.sock');
    const { closing, other } = await start({ path }, scope, 'with-heir');
    const report = await closing.close(SOON);
    assert.equal(report.listeners[0]?.gate, 'shared');
    assert.equal(await ask({ path }), other);
    proof.held(t, { clients: 1 });
  });

  test('control: a plain close deletes it', async (t) => {
    await using scope = new Scope();
    const path = join(scope.use(makeFolder()).path, 'app.sock');
    const { closing } = await start({ path }, scope, 'with-heir');
    closing.order('plain');
    await closing.next('closed');
    proof.lost(t, (await ask({ path })) === 'ENOENT' ? 1 : 0);
  });

  test('stays where a successor has put its own in its place', async (t) => {
    await using scope = new Scope();
    const folder = scope.use(makeFolder()).path;
    const path = join(folder, 'app.sock');
    const { closing } = await start({ path }, scope);
    await replace(folder, path, scope);
    const report = await closing.close(SOON);
    assert.deepEqual(
      { outcome: report.outcome, gate: report.listeners[0]?.gate },
      { outcome: 'complete', gate: 'unix' },
    );
    assert.equal(await ask({ path }), US);
    proof.held(t, { clients: 1 });
  });

  test('control: a plain close deletes that one', async (t) => {
    await using scope = new Scope();
    const folder = scope.use(makeFolder()).path;
    const path = join(folder, 'app.sock');
    const { closing } = await start({ path }, scope);
    await replace(folder, path, scope);
    closing.order('plain');
    await closing.next('closed');
    proof.lost(t, (await ask({ path })) === 'ENOENT' ? 1 : 0);
  });

  test('goes with the listener where nobody else serves it', async () => {
    await using scope = new Scope();
    const path = join(scope.use(makeFolder()).path, 'app.sock');
    const { closing } = await start({ path }, scope);
    await closing.close(SOON);
    assert.equal(existsSync(path), false);
  });
});

/** A successor binds a path of its own, and moves it to where clients come. */
async function replace(folder: string, path: string, scope: Scope): Promise<void> {
  const own = join(folder, 'successor.sock');
  scope.use(await listen(createNamingServer(), { path: own }));
  renameSync(own, path);
}
