// Any user may listen at the port of a program, on another address.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { startLastcall } from '../harness/lastcall-command.ts';
import { needsRoot } from '../harness/needs.ts';
import { freePort } from '../harness/ports.ts';
import { isAlive } from '../harness/processes.ts';
import { Scope } from '../harness/scope.ts';
import { type RunningProgram, startForeign } from '../program/foreign-program-driver.ts';
import { reportOf, stop, stopBelow } from './stop-to-the-end.ts';

const [OWNER, STRANGER] = [65_534, 65_533];

function asUser(uid: number): readonly string[] {
  return ['setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
}

/** A program of `owner` (undefined: root) at 127.0.0.1, and one of another user at the same port of 127.0.0.5. */
async function startBoth(
  owner: number | undefined,
  scope: Scope,
): Promise<{ readonly port: number; readonly wanted: RunningProgram; readonly stranger: RunningProgram }> {
  const port = await freePort();
  const before = owner === undefined ? [] : asUser(owner);
  const wanted = scope.use(await startForeign({ listen: [{ port, host: '127.0.0.1' }] }, { before }));
  const listen = [{ port, host: '127.0.0.5' }];
  const stranger = scope.use(await startForeign({ listen }, { before: asUser(STRANGER) }));
  return { port, wanted, stranger };
}

suite('a program at whose port a program of another user listens, too', { skip: needsRoot }, () => {
  test('is stopped by its port if it is root’s, and the other one is named and left alone', async () => {
    await using scope = new Scope();
    const { port, wanted, stranger } = await startBoth(undefined, scope);
    const ended = await stop(`:${port}`, '--json');
    assert.equal(reportOf(ended).program.pid, wanted.program, ended.stderr);
    assert.match(
      ended.stderr,
      new RegExp(`lastcall: ${stranger.program} \\(.*\\) of another user holds :${port}, too`),
    );
    assert.deepEqual([isAlive(wanted.program), isAlive(stranger.program)], [false, true]);
  });

  test('is stopped by its port if it belongs to the user who asks', async () => {
    await using scope = new Scope();
    const { port, wanted, stranger } = await startBoth(OWNER, scope);
    const ended = await stopBelow(asUser(OWNER), `:${port}`, '--kill', '--json');
    assert.equal(reportOf(ended).program.pid, wanted.program, ended.stderr);
    assert.deepEqual([isAlive(wanted.program), isAlive(stranger.program)], [false, true]);
  });

  test('is stopped by its port if it belongs to the user who asks by sudo', async () => {
    await using scope = new Scope();
    const { port, wanted, stranger } = await startBoth(OWNER, scope);
    const stopping = scope.use(startLastcall(['stop', `:${port}`, '--json'], { env: { SUDO_UID: String(OWNER) } }));
    assert.equal(reportOf(await stopping.ended).program.pid, wanted.program);
    assert.ok(isAlive(stranger.program));
  });

  test('is stopped by its address if root asks, and neither is root’s', async () => {
    await using scope = new Scope();
    const { port, wanted, stranger } = await startBoth(OWNER, scope);
    const byPort = await stop(`:${port}`);
    assert.equal(byPort.code, 2);
    assert.match(byPort.stderr, /several processes, name one of them, or its address/);
    const ended = await stop(`127.0.0.1:${port}`, '--json');
    assert.equal(reportOf(ended).program.pid, wanted.program, ended.stderr);
    assert.deepEqual([isAlive(wanted.program), isAlive(stranger.program)], [false, true]);
  });
});

test('an address at which nobody listens is no target, and the error names those at the port', async () => {
  const port = await freePort();
  await using running = await startForeign({ listen: [{ port, host: '127.0.0.1' }] });
  const { code, stderr } = await stop(`127.0.0.2:${port}`);
  assert.equal(code, 2);
  assert.match(
    stderr,
    new RegExp(`Nobody listens on 127.0.0.2:${port} in this network namespace, but on 127.0.0.1:${port}`),
  );
  assert.ok(isAlive(running.program));
});
