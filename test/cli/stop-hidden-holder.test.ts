// A process of the same user that cannot be looked into may hold the listener, too: it had another user before, or has
// capabilities of its file.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findListeners } from '../../src/program/find/find-listeners.ts';
import { copyListener } from '../../src/program/gate/copied-listener.ts';
import { shutProgramGate } from '../../src/program/gate/program-gate.ts';
import { AS_NOBODY } from '../harness/lastcall-command.ts';
import { needsPrograms, needsRoot } from '../harness/needs.ts';
import { askTenTimes } from '../harness/observed-program.ts';
import { freePort, untilAccepted } from '../harness/ports.ts';
import { startCommand } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { foreignLine, startForeign } from '../program/foreign-program-driver.ts';
import { reportOf, stopBelow } from './stop-to-the-end.ts';

const HOST = '127.0.0.1';
const PYTHON = '/usr/bin/python3';
const SOURCES = fileURLToPath(new URL('../../../test/program/programs/', import.meta.url));
const MAY_HOLD = /^process \d+ may hold it and cannot be looked into$/;

type Hidden = 'nobody' | 'manager' | 'sibling';

async function startWorker(hidden: Hidden, scope: Scope): Promise<{ readonly worker: number; readonly port: number }> {
  const port = await freePort();
  const line = [...AS_NOBODY, PYTHON, join(SOURCES, 'manager.py'), String(port), hidden];
  const running = scope.use(startCommand(line));
  const [, worker] = await running.prints(/^worker (\d+)$/m);
  return { worker: Number(worker), port };
}

suite('a worker of the same user as a process that serves its listener, too', {
  skip: needsRoot || needsPrograms(PYTHON),
}, () => {
  const proof = prove('new clients of a manager that cannot be looked into, while its worker is stopped');
  for (const { hidden, title, reason } of [
    { hidden: 'nobody', title: 'its manager can be looked into', reason: /^process \d+ holds it too$/ },
    { hidden: 'manager', title: 'its manager cannot be looked into', reason: MAY_HOLD },
    { hidden: 'sibling', title: 'another worker cannot be looked into', reason: MAY_HOLD },
  ] as const) {
    test(`is stopped and not gated if ${title}`, async (t) => {
      await using scope = new Scope();
      const { worker, port } = await startWorker(hidden, scope);
      const ended = await stopBelow(AS_NOBODY, String(worker), '--kill', '--json');
      const [listener] = reportOf(ended).listeners;
      assert.equal(listener?.gate, 'shared', ended.stderr);
      assert.match(listener?.reason ?? '', reason);
      assert.deepEqual(await askTenTimes(port), ['other']);
      proof.held(t, { clients: 10 });
    });
  }

  test('control: the gate, once shut, is shut for both', async (t) => {
    await using scope = new Scope();
    const { worker, port } = await startWorker('manager', scope);
    const [held] = findListeners(worker).listeners;
    assert.ok(held !== undefined);
    const copy = copyListener(held, new Map());
    shutProgramGate(copy);
    copy.close();
    const answers = await askTenTimes(port);
    proof.lost(t, answers.filter((answer) => answer === 'ECONNREFUSED').length);
  });
});

suite('a program of the same user as a process that cannot be looked into', {
  skip: needsRoot || needsPrograms(PYTHON),
}, () => {
  const agent = (...command: readonly string[]): readonly string[] => [PYTHON, join(SOURCES, 'agent.py'), ...command];

  test('is gated if the process is not related to it', async () => {
    await using scope = new Scope();
    const hidden = scope.use(startCommand([...AS_NOBODY, ...agent('/bin/sleep', '600')]));
    await hidden.prints(/^agent$/m);
    assert.throws(() => readAsNobody(hidden.pid), 'it cannot be looked into');
    const running = scope.use(await startForeign({ listen: [{ port: 0, host: HOST }] }, { before: AS_NOBODY }));
    assert.equal(await gateOf(running.program), 'refuse');
  });

  test('is gated if a shell stands between them, as in a login', async () => {
    await using scope = new Scope();
    const port = await freePort();
    const line = foreignLine({ listen: [{ port, host: HOST }] });
    const shell = ['/bin/sh', '-c', '"$@"; exit $?', 'sh', ...line];
    const running = scope.use(startCommand([...AS_NOBODY, ...agent(...shell)]));
    const [, program] = await running.prints(/^ready (\d+) /m);
    await untilAccepted({ port, host: HOST });
    assert.equal(await gateOf(Number(program)), 'refuse');
  });
});

async function gateOf(pid: number): Promise<string | undefined> {
  const ended = await stopBelow(AS_NOBODY, String(pid), '--kill', '--json');
  return reportOf(ended).listeners[0]?.gate;
}

function readAsNobody(pid: number): void {
  process.seteuid?.(65_534);
  try {
    readdirSync(`/proc/${pid}/fd`);
  } finally {
    process.seteuid?.(0);
  }
}
