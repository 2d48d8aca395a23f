import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Finding, FindingId } from '../../src/program/doctor/finding.ts';
import { findTree } from '../../src/program/process-tree.ts';
import { startListener } from '../linux/loopback.ts';
import { NEEDS_ROOT } from '../linux/run-child.ts';
import { startForeign } from '../program/foreign-program.ts';
import { findPort, MAIN, start, startLastcall, untilAccepted } from '../harness/lastcall-command.ts';
import { openTerminal, terminalMissing } from './terminal.ts';

const HOST = '127.0.0.1';
const WITHOUT_HANDLER = fileURLToPath(new URL('../fixtures/program/node-without-handler.js', import.meta.url));
const AS_NOBODY = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'] as const;

interface Examined {
  readonly code: number | null;
  readonly of: (id: FindingId) => readonly Finding[];
  readonly level: (id: FindingId) => string | undefined;
}

/** What doctor finds, started by these words. */
async function examine(t: TestContext, args: readonly string[], before: readonly string[] = []): Promise<Examined> {
  const { code, stdout, stderr } = await start(t, [...before, process.execPath, MAIN, 'doctor', '--json', ...args])
    .ended;
  assert.notEqual(stdout, '', stderr);
  const { findings }: { readonly findings: readonly Finding[] } = JSON.parse(stdout);
  const of = (id: FindingId): readonly Finding[] => findings.filter((finding) => finding.id === id);
  assert.equal(code, findings.some(({ level }) => level === 'problem') ? 1 : 0);
  return { code, of, level: (id) => of(id)[0]?.level };
}

suite('the machine', () => {
  test('gates are tried, and a descriptor of a child is copied', async (t) => {
    const { level } = await examine(t, []);
    for (const id of ['kernel', 'ffi', 'gate-refuse', 'gate-unix', 'pidfd-getfd', 'sock-diag'] as const) {
      assert.equal(level(id), 'good', id);
    }
    assert.equal(level('program'), undefined);
  });

  test('without rights gates are shut all the same, and not opened again', { skip: NEEDS_ROOT }, async (t) => {
    const { level, of } = await examine(t, [], AS_NOBODY);
    assert.equal(level('gate-refuse'), 'good');
    assert.equal(level('gate-reopen'), 'note');
    assert.match(of('capabilities')[0]?.says ?? '', /uid 65534 has none/);
  });

  test('a kernel that resets clients of a full queue is a problem', { skip: NEEDS_ROOT }, async (t) => {
    const script = 'ip link set lo up; echo 1 > /proc/sys/net/ipv4/tcp_abort_on_overflow; exec "$@"';
    const { code, of } = await examine(t, [], ['unshare', '--net', 'sh', '-c', script, 'sh']);
    assert.equal(code, 1);
    assert.match(of('abort-on-overflow')[0]?.todo ?? '', /tcp_abort_on_overflow=0/);
  });
});

suite('a program', () => {
  test('that has its listener for itself is well', async (t) => {
    const port = await findPort();
    const { program } = await startForeign(t, { listen: [{ host: HOST, port }] });
    const { of, level } = await examine(t, [`:${port}`]);
    assert.match(of('program')[0]?.says ?? '', new RegExp(`^process ${program}: `));
    assert.deepEqual([level('signal-handler'), level('signal-right'), level('listener')], ['note', 'good', 'good']);
    assert.match(
      of('listener')[0]?.says ?? '',
      new RegExp(`127.0.0.1:${port}: held by process ${program}; its gate can be shut`),
    );
    // It is as it was: its gate is open.
    await untilAccepted(t, { host: HOST, port });
  });

  test('that does not catch its signal ends at once; one that is PID 1 never gets it', {
    skip: NEEDS_ROOT,
  }, async (t) => {
    const child = start(t, ['sleep', '60']);
    assert.match((await examine(t, [String(child.pid)])).of('signal-handler')[0]?.says ?? '', /ends at once/);
    const first = start(t, ['unshare', '--pid', '--fork', '--kill-child', 'sleep', '60']);
    const inner = await childOf(t, first.pid);
    const { of } = await examine(t, [String(inner)]);
    assert.match(of('signal-handler')[0]?.says ?? '', /is PID 1 of its namespace and does not catch SIGTERM/);
  });

  test('of Node may have a handler or not; as PID 1 it had better', { skip: NEEDS_ROOT }, async (t) => {
    const port = await findPort();
    const line = ['unshare', '--pid', '--fork', '--kill-child', process.execPath, WITHOUT_HANDLER];
    start(t, [...line, String(port), HOST]);
    await untilAccepted(t, { host: HOST, port });
    const [finding] = (await examine(t, [`:${port}`])).of('signal-handler');
    assert.equal(finding?.level, 'warning');
    assert.match(finding.says, /PID 1 of its namespace, and without one the signal does nothing/);
  });

  test('below a shell is told of it', async (t) => {
    const port = await findPort();
    start(t, ['sh', '-c', `"${process.execPath}" "${WITHOUT_HANDLER}" ${port} ${HOST}; true`]);
    await untilAccepted(t, { host: HOST, port });
    const [finding] = (await examine(t, [`:${port}`])).of('between');
    assert.equal(finding?.level, 'warning');
    assert.match(finding.todo ?? '', /exec/);
  });

  test('whose listener somebody else holds, too, is told who', async (t) => {
    const { fd } = await startListener(t, { backlog: 5 });
    const child = start(t, ['sleep', '60'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
    const { of } = await examine(t, [String(child.pid)]);
    assert.equal(of('listener')[0]?.level, 'warning');
    assert.match(of('listener')[0]?.says ?? '', new RegExp(`counts as shared: process ${process.pid} holds it too`));
    assert.equal(of('backlog')[0]?.level, 'warning');
  });

  test('that listens on nothing is told so', async (t) => {
    const child = start(t, ['sleep', '60']);
    assert.match((await examine(t, [String(child.pid)])).of('listeners')[0]?.says ?? '', /listen on nothing/);
  });

  test('of another user may neither be signalled nor reached', { skip: NEEDS_ROOT }, async (t) => {
    const { program } = await startForeign(t, { listen: [{ host: HOST, port: await findPort() }] });
    const { code, level } = await examine(t, [String(program)], AS_NOBODY);
    assert.deepEqual([code, level('signal-right'), level('listeners')], [1, 'problem', 'problem']);
  });

  test('in Kubernetes has thirty seconds, unless LASTCALL_DEADLINE or --deadline says less', async (t) => {
    const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1' };
    const plain = start(t, ['sleep', '60'], { env });
    const { of } = await examine(t, [String(plain.pid)]);
    assert.match(of('supervisor')[0]?.says ?? '', /Kubernetes kills after 30 s .*unless it was set/);
    assert.equal(of('deadline')[0]?.level, 'warning');
    const short = start(t, ['sleep', '60'], { env: { ...env, LASTCALL_DEADLINE: '20s' } });
    assert.equal((await examine(t, [String(short.pid)])).level('deadline'), 'good');
    assert.equal((await examine(t, [String(short.pid), '--deadline', '40s'])).level('deadline'), 'warning');
  });
});

async function childOf(t: TestContext, parent: number): Promise<number> {
  for (;;) {
    const [, child] = findTree(parent);
    if (child !== undefined) return child;
    await sleep(5, undefined, { signal: t.signal });
  }
}

suite('in a terminal', { skip: terminalMissing }, () => {
  test('each finding is a line, with what to do under it, and a count at the end', async (t) => {
    const child = start(t, ['sleep', '60']);
    const terminal = openTerminal(t, [process.execPath, MAIN, 'doctor', String(child.pid)]);
    const screen = await terminal.shows(/ended with [01]/);
    assert.match(screen, /^ {2}note {5}listeners: process \d+ and its 0 descendants listen on nothing$/m);
    assert.match(screen, /^ {11}-> name the process that serves$/m);
    assert.match(screen, /^\d problems?, \d warnings?$/m);
  });

  test('no colour gets into a pipe', async (t) => {
    const { stdout } = await startLastcall(t, ['doctor']).ended;
    assert.ok(stdout.includes('gate-refuse') && !stdout.includes('\x1b'));
  });
});
