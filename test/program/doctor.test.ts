import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { SystemCallError } from '../../src/linux/libc.ts';
import { parseStatus, type ProcessStatus } from '../../src/linux/process/status.ts';
import {
  judgeDeadline,
  judgeKillMode,
  parseTimespan,
  parseUnit,
  unitOf,
} from '../../src/program/doctor/examine-deadline.ts';
import { judgeReopen } from '../../src/program/doctor/examine-gates.ts';
import { judgeKernel } from '../../src/program/doctor/examine-host.ts';
import { judgeHandler } from '../../src/program/doctor/examine-program.ts';
import { judgeAbort, judgeCookies, judgeQueue, judgeSomaxconn } from '../../src/program/doctor/examine-queues.ts';
import { judgeFailure, judgeYama } from '../../src/program/doctor/examine-reach.ts';
import { judgeBetween, judgeFirst } from '../../src/program/doctor/examine-surroundings.ts';
import type { Finding, Level } from '../../src/program/doctor/finding.ts';
import type { ListenerSample } from '../../src/program/watch/sample-listeners.ts';

/** For each case the finding, its level, and words of its text. */
const CASES: readonly (readonly [what: string, finding: Finding, level: Level, words?: RegExp])[] = [
  ['Linux 6.1', judgeKernel('linux', '6.1.0-13-amd64'), 'good'],
  ['Linux 5.7', judgeKernel('linux', '5.7.0'), 'good'],
  ['Linux 5.6', judgeKernel('linux', '5.6.19'), 'warning', /CAP_NET_RAW/],
  ['Linux 4.19', judgeKernel('linux', '4.19.0'), 'problem', /pidfd_getfd/],
  ['a version that is none', judgeKernel('linux', 'odd'), 'good'],
  ['another system', judgeKernel('darwin', '23.1.0'), 'problem', /Linux only/],

  ['no Yama', judgeYama(undefined, false), 'good'],
  ['Yama 0', judgeYama(0, false), 'good'],
  ['Yama 1 without rights', judgeYama(1, false), 'note', /lastcall stop` needs CAP_SYS_PTRACE/],
  ['Yama 1 with CAP_SYS_PTRACE', judgeYama(1, true), 'good'],
  ['Yama 2 without rights', judgeYama(2, false), 'warning', /--listen/],
  ['Yama 3, whatever the rights', judgeYama(3, true), 'problem', /next boot/],

  ['pidfd_getfd under a filter', judgeFailure(new SystemCallError('pidfd_getfd', 1), 2), 'problem', /seccomp/],
  ['pidfd_getfd forbidden', judgeFailure(new SystemCallError('pidfd_getfd', 1), 0), 'problem', /security module/],
  ['a child that cannot be had', judgeFailure(new Error('ENOENT'), 0), 'note', /could not be tried/],

  ['gates for good', judgeReopen(false), 'note', /--kill/],
  ['cookies always', judgeCookies(2, 0), 'warning', /set it to 1/],
  ['cookies never', judgeCookies(0, 0), 'good'],
  ['cookies sent', judgeCookies(1, 7), 'note', /7 sent/],
  ['no cookie so far', judgeCookies(1, 0), 'good'],
  ['reset by the kernel', judgeAbort(1), 'problem', /tcp_abort_on_overflow=0/],
  ['not reset by the kernel', judgeAbort(0), 'good'],
  ['a small somaxconn', judgeSomaxconn(128), 'note', /cut to that/],
  ['the usual somaxconn', judgeSomaxconn(4_096), 'good'],

  ['a handler', judgeHandler(7, statusOf({ SigCgt: 14 }), 'SIGTERM', false), 'good'],
  ['a signal that is waited for', judgeHandler(7, statusOf({ SigBlk: 14 }), 'SIGTERM', false), 'good'],
  [
    'a signal that is ignored',
    judgeHandler(7, statusOf({ SigIgn: 14 }), 'SIGTERM', false),
    'problem',
    /killed at the deadline/,
  ],
  ['no handler', judgeHandler(7, statusOf({}), 'SIGTERM', false), 'note', /ends at once/],
  [
    'PID 1 without a handler',
    judgeHandler(7, statusOf({ inner: 1 }), 'SIGTERM', false),
    'problem',
    /the kernel drops the signal/,
  ],
  ['Node', judgeHandler(7, statusOf({ SigCgt: 14 }), 'SIGTERM', true), 'note', /cannot be seen/],
  ['Node as PID 1', judgeHandler(7, statusOf({ SigCgt: 14, inner: 1 }), 'SIGTERM', true), 'warning', /does nothing/],

  ['a shell as PID 1', judgeFirst(['/bin/sh', '-c', 'node server.js'], false), 'problem', /exec/],
  ['a shell that traps', judgeFirst(['bash', '/entrypoint.sh'], true), 'note', /traps/],
  ['npm as PID 1', judgeFirst(['npm start'], true), 'warning', /may end before/],
  ['npm by node as PID 1', judgeFirst(['node', '/usr/bin/npm', 'start'], true), 'warning', /PID 1 is npm/],
  ['systemd', judgeFirst(['/lib/systemd/systemd', '--system'], false), 'good'],
  ['a server as PID 1', judgeFirst(['node', 'server.js'], true), 'good'],
  ['a deaf PID 1', judgeFirst(['node', 'server.js'], false), 'note', /lastcall run/],

  ['a deadline in time', judgeDeadline(supervisor(90_000), 30_000, 'as asked'), 'good'],
  ['a deadline too late', judgeDeadline(supervisor(10_000), 30_000, 'as asked'), 'warning', /--deadline 9s or less/],
  ['a supervisor that waits', judgeDeadline(supervisor(undefined), 1e9, 'as asked'), 'good'],
];

suite('doctor judges', () => {
  for (const [what, { level, says, todo }, wanted, words = /./] of CASES) {
    test(`${what}: ${wanted}`, () => {
      assert.equal(level, wanted, says);
      assert.match(`${says} ${todo ?? ''}`, words);
      // Each of these says what to do.
      if (level === 'warning' || level === 'problem') assert.ok(todo !== undefined && todo !== '');
    });
  }

  test('a queue by its backlog, its drops, and what the kernel allows', () => {
    const levels = (limit: number, drops: number, somaxconn = 4_096): readonly string[] =>
      judgeQueue(queue(limit, drops), somaxconn).map(({ id, level }) => `${id} ${level}`);
    assert.deepEqual(levels(511, 0), ['backlog good']);
    assert.deepEqual(levels(5, 0), ['backlog warning']);
    assert.deepEqual(levels(511, 3), ['backlog good', 'drops warning']);
    assert.deepEqual(levels(1_024, 0, 1_024), ['backlog note']);
  });

  test('shells and npm directly above the program, but nothing above another ancestor', () => {
    const above = [
      { pid: 30, line: ['sh', '-c', 'node server.js'] },
      { pid: 20, line: ['npm start'] },
      { pid: 15, line: ['/usr/sbin/sshd'] },
      { pid: 10, line: ['bash', 'deploy.sh'] },
      { pid: 1, line: ['init'] },
    ];
    const found = judgeBetween(40, above);
    assert.deepEqual(
      found.map(({ level }) => level),
      ['warning', 'note'],
    );
    // An interactive shell runs no script.
    assert.deepEqual(judgeBetween(40, [{ pid: 30, line: ['-bash'] }]), []);
    assert.deepEqual(judgeBetween(40, [{ pid: 30, line: ['/bin/zsh', '-l'] }]), []);
  });

  test('a unit of systemd, and how long it waits', () => {
    assert.equal(unitOf('0::/system.slice/web.service\n'), 'web.service');
    assert.equal(
      unitOf('0::/user.slice/user-1000.slice/user@1000.service/app.slice/web@1.service/sub\n'),
      'web@1.service',
    );
    assert.equal(unitOf('0::/\n'), undefined);
    assert.equal(unitOf('0::/a b;rm.service\n'), undefined);
    const unit = parseUnit('web.service', 'TimeoutStopUSec=1min 30s\nKillMode=control-group\n');
    const { waits, killMode } = unit ?? {};
    assert.deepEqual({ waits, killMode }, { waits: 90_000, killMode: 'control-group' });
    assert.equal(parseUnit('web.service', 'TimeoutStopUSec=infinity\nKillMode=mixed\n')?.waits, undefined);
    assert.equal(parseUnit('web.service', 'nothing'), undefined);
    assert.deepEqual(['45s', '500ms', '1h 2min', '', 'soon', '5 s'].map(parseTimespan), [
      45_000,
      500,
      3_720_000,
      undefined,
      undefined,
      undefined,
    ]);
    assert.deepEqual(judgeKillMode('control-group')[0]?.level, 'warning');
    assert.deepEqual(judgeKillMode('mixed')[0]?.level, 'good');
    assert.deepEqual(judgeKillMode(undefined), []);
  });
});

function statusOf({
  inner = 7,
  ...masks
}: {
  readonly inner?: number;
  readonly [mask: string]: number | undefined;
}): ProcessStatus {
  // Bit 14 is signal 15.
  const lines = Object.entries(masks).map(
    ([name, bit = 0]) => `${name}:\t${(1n << BigInt(bit)).toString(16).padStart(16, '0')}`,
  );
  return parseStatus(['Name:\tserver', 'Pid:\t7', `NSpid:\t7\t${inner}`, ...lines].join('\n'));
}

function supervisor(waits: number | undefined): Parameters<typeof judgeDeadline>[0] {
  return { name: 'systemd', waits, setting: 'TimeoutStopSec', isKnown: true };
}

function queue(limit: number, drops: number): ListenerSample {
  const connections = { established: 0, closeWait: 0, finWait: 0, closing: 0, timeWait: 0 };
  return {
    address: '127.0.0.1:80',
    family: 'TCP',
    gate: 'open',
    sockets: 1,
    gated: 1,
    queued: 0,
    limit,
    halfOpen: 0,
    drops,
    connections,
  };
}
