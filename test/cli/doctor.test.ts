import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Finding, FindingId } from '../../src/program/doctor/finding.ts';
import { findTree } from '../../src/program/find/process-tree.ts';
import { AS_NOBODY, MAIN, startLastcall, startLastcallBelow } from '../harness/lastcall-command.ts';
import { needsNamespaces, needsRoot } from '../harness/needs.ts';
import { freePort, untilAccepted } from '../harness/ports.ts';
import { fixture, startCommand } from '../harness/processes.ts';
import { until } from '../harness/wait.ts';
import { Loopback } from '../linux/loopback.ts';
import { startForeign } from '../program/foreign-program-driver.ts';
import { needsTerminal, openTerminal } from './terminal.ts';

const HOST = '127.0.0.1';
const WITHOUT_HANDLER = fixture('program/node-without-handler');

interface Examined {
  readonly code: number | null;
  readonly of: (id: FindingId) => readonly Finding[];
  readonly level: (id: FindingId) => string | undefined;
}

/** Runs doctor, perhaps below another command. */
async function examine(args: readonly string[], before: readonly string[] = []): Promise<Examined> {
  await using running = startLastcallBelow(before, ['doctor', '--json', ...args]);
  const { code, stdout, stderr } = await running.ended;
  assert.notEqual(stdout, '', stderr);
  const { findings }: { readonly findings: readonly Finding[] } = JSON.parse(stdout);
  const of = (id: FindingId): readonly Finding[] => findings.filter((finding) => finding.id === id);
  assert.equal(code, findings.some(({ level }) => level === 'problem') ? 1 : 0);
  return { code, of, level: (id) => of(id)[0]?.level };
}

suite('the machine', () => {
  test('gates are tried, and a descriptor of a child is copied', async () => {
    const { level } = await examine([]);
    for (const id of ['kernel', 'ffi', 'gate-refuse', 'gate-unix', 'pidfd-getfd', 'sock-diag'] as const) {
      assert.equal(level(id), 'good', id);
    }
    assert.equal(level('program'), undefined);
  });

  test('without rights gates can be shut, but not opened again', { skip: needsRoot }, async () => {
    const { level, of } = await examine([], AS_NOBODY);
    assert.equal(level('gate-refuse'), 'good');
    assert.equal(level('gate-reopen'), 'note');
    assert.match(of('capabilities')[0]?.says ?? '', /uid 65534 has none/);
  });

  test('a kernel that resets clients of a full queue is a problem', { skip: needsNamespaces('--net') }, async () => {
    const script = 'ip link set lo up; echo 1 > /proc/sys/net/ipv4/tcp_abort_on_overflow; exec "$@"';
    const { code, of } = await examine([], ['unshare', '--net', 'sh', '-c', script, 'sh']);
    assert.equal(code, 1);
    assert.match(of('abort-on-overflow')[0]?.todo ?? '', /tcp_abort_on_overflow=0/);
  });
});

suite('a program', () => {
  test('that alone holds its listener has no problem', async () => {
    const port = await freePort();
    await using running = await startForeign({ listen: [{ host: HOST, port }] });
    const { of, level } = await examine([`:${port}`]);
    assert.match(of('program')[0]?.says ?? '', new RegExp(`^process ${running.program}: `));
    assert.equal(level('signal-handler'), 'note');
    assert.equal(level('signal-right'), 'good');
    assert.equal(level('listener'), 'good');
    assert.match(
      of('listener')[0]?.says ?? '',
      new RegExp(`127.0.0.1:${port}: held by process ${running.program}; its gate can be shut`),
    );
    // Its gate is still open.
    await untilAccepted({ host: HOST, port });
  });

  test('that does not catch its signal ends at once; as PID 1 it never gets the signal', {
    skip: needsNamespaces('--pid', '--fork'),
  }, async () => {
    await using child = startCommand(['/bin/sleep', '60']);
    assert.match((await examine([String(child.pid)])).of('signal-handler')[0]?.says ?? '', /ends at once/);
    await using first = startCommand(['unshare', '--pid', '--fork', '--kill-child', '/bin/sleep', '60']);
    const inner = await childOf(first.pid);
    const { of } = await examine([String(inner)]);
    assert.match(of('signal-handler')[0]?.says ?? '', /is PID 1 of its namespace and does not catch SIGTERM/);
  });

  test('of Node may have a handler or not; as PID 1 it needs one', {
    skip: needsNamespaces('--pid', '--fork'),
  }, async () => {
    const port = await freePort();
    const line = ['unshare', '--pid', '--fork', '--kill-child', process.execPath, WITHOUT_HANDLER];
    await using _ = startCommand([...line, String(port), HOST]);
    await untilAccepted({ host: HOST, port });
    const [finding] = (await examine([`:${port}`])).of('signal-handler');
    assert.equal(finding?.level, 'warning');
    assert.match(finding.says, /PID 1 of its namespace, and without a handler the signal does nothing/);
  });

  test('below a shell gets a warning', async () => {
    const port = await freePort();
    await using _ = startCommand(['/bin/sh', '-c', `"${process.execPath}" "${WITHOUT_HANDLER}" ${port} ${HOST}; true`]);
    await untilAccepted({ host: HOST, port });
    const [finding] = (await examine([`:${port}`])).of('between');
    assert.equal(finding?.level, 'warning');
    assert.match(finding.todo ?? '', /exec/);
  });

  test('whose listener another process holds, too, gets a warning that names the process', async () => {
    await using loopback = new Loopback();
    const { fd } = await loopback.startListener({ backlog: 5 });
    await using child = startCommand(['/bin/sleep', '60'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
    const { of } = await examine([String(child.pid)]);
    assert.equal(of('listener')[0]?.level, 'warning');
    assert.match(of('listener')[0]?.says ?? '', new RegExp(`counts as shared: process ${process.pid} holds it too`));
    assert.equal(of('backlog')[0]?.level, 'warning');
  });

  test('that listens on nothing gets a note', async () => {
    await using child = startCommand(['/bin/sleep', '60']);
    assert.match((await examine([String(child.pid)])).of('listeners')[0]?.says ?? '', /listen on nothing/);
  });

  test('of another user can neither be signalled nor reached', { skip: needsRoot }, async () => {
    await using running = await startForeign({ listen: [{ host: HOST, port: await freePort() }] });
    const { code, level } = await examine([String(running.program)], AS_NOBODY);
    assert.equal(code, 1);
    assert.equal(level('signal-right'), 'problem');
    assert.equal(level('listeners'), 'problem');
  });

  test('in Kubernetes has 30 s, so LASTCALL_DEADLINE or --deadline must be shorter', async () => {
    const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1' };
    await using plain = startCommand(['/bin/sleep', '60'], { env });
    const { of } = await examine([String(plain.pid)]);
    assert.match(of('supervisor')[0]?.says ?? '', /Kubernetes kills after 30 s .*unless it was set/);
    assert.equal(of('deadline')[0]?.level, 'warning');
    await using short = startCommand(['/bin/sleep', '60'], { env: { ...env, LASTCALL_DEADLINE: '20s' } });
    assert.equal((await examine([String(short.pid)])).level('deadline'), 'good');
    assert.equal((await examine([String(short.pid), '--deadline', '40s'])).level('deadline'), 'warning');
  });
});

async function childOf(parent: number): Promise<number> {
  let child: number | undefined;
  await until(`process ${parent} has a child`, () => {
    [, child] = findTree(parent);
    return child !== undefined;
  });
  return child ?? 0;
}

suite('in a terminal', { skip: needsTerminal }, () => {
  test('each finding is a line, with what to do under it, and a count at the end', async () => {
    await using child = startCommand(['/bin/sleep', '60']);
    using terminal = openTerminal([process.execPath, MAIN, 'doctor', String(child.pid)]);
    const screen = await terminal.shows(/ended with [01]/);
    assert.match(screen, /^ {2}note {5}listeners: process \d+ and its 0 descendants listen on nothing$/m);
    assert.match(screen, /^ {11}-> name the process that serves$/m);
    assert.match(screen, /^\d problems?, \d warnings?$/m);
  });

  test('output to a pipe has no colour', async () => {
    await using running = startLastcall(['doctor']);
    const { stdout } = await running.ended;
    assert.ok(stdout.includes('gate-refuse') && !stdout.includes('\x1b'));
  });
});
