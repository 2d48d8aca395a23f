import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { SystemCallError } from '../../linux/libc.ts';
import { readStatus, type ProcessStatus } from '../../linux/process/status.ts';
import { readSysctl } from '../../linux/sysctl.ts';
import { NO_INTERFACE } from '../../listener/gate/refuse.ts';
import { commandOf } from '../find/command-of.ts';
import { findListeners, type HeldListener, type ProgramListeners } from '../find/find-listeners.ts';
import { namespaceOf } from '../find/namespace.ts';
import { reachListener } from '../gate/outside-gate.ts';
import { sampleListeners } from '../watch/sample-listeners.ts';
import { judgeQueue } from './examine-queues.ts';
import { type Finding, good, note, problem, warning } from './finding.ts';

const WAYS_OUT = 'CAP_SYS_PTRACE, or `lastcall run` with --listen, or --inside for Node';

/** What a stop of this program would meet. Nothing of it is touched, but that its listeners are copied and let go. */
export function examineProgram(pid: number, signal: NodeJS.Signals): readonly Finding[] {
  const status = readStatus(pid);
  return [
    judgeRight(pid),
    ...(status === undefined ? [] : [judgeHandler(pid, status, signal, isNode(pid))]),
    ...examineListeners(pid),
  ];
}

function judgeRight(pid: number): Finding {
  try {
    process.kill(pid, 0);
    return good('signal-right', `process ${pid} may be signalled by this user`);
  } catch {
    return problem(
      'signal-right',
      `process ${pid} may not be signalled by this user`,
      "run as the program's own user, or with CAP_KILL",
    );
  }
}

/**
 * What the signal that it is stopped by does to it. Node itself catches SIGTERM and SIGINT, and raises them again where the program
 * has no handler (SignalExit, src/node.cc): of Node the kernel's word says little.
 */
export function judgeHandler(pid: number, status: ProcessStatus, signal: NodeJS.Signals, isNode: boolean): Finding {
  const { innerPid, caught, ignored } = status;
  if (isNode && caught.has(signal)) return judgeNode(pid, innerPid, signal);
  if (caught.has(signal)) return good('signal-handler', `process ${pid} catches ${signal}`);
  if (ignored.has(signal)) {
    return problem(
      'signal-handler',
      `process ${pid} ignores ${signal}: it is killed at the deadline`,
      'the --signal that it knows, such as SIGQUIT',
    );
  }
  if (innerPid === 1) {
    return problem(
      'signal-handler',
      `process ${pid} is PID 1 of its namespace and does not catch ${signal}: the kernel drops the signal, and it is killed`,
      'run it by `lastcall run`, which is PID 1 in its place, or by an init (docker run --init)',
    );
  }
  return note(
    'signal-handler',
    `process ${pid} does not catch ${signal}: it ends at once, with what it has accepted`,
    '`lastcall run` and `lastcall stop` wait until no client is owed an answer; a Node program: lastcall/register',
  );
}

function judgeNode(pid: number, innerPid: number, signal: NodeJS.Signals): Finding {
  const says = `process ${pid} is Node: whether it has a handler for ${signal} of its own cannot be seen`;
  if (innerPid !== 1) {
    return note('signal-handler', `${says}; without one it ends at once`, 'lastcall/register, or lastCall(server)');
  }
  return warning(
    'signal-handler',
    `${says}; it is PID 1 of its namespace, and without one the signal does nothing`,
    'lastcall/register, or `lastcall run` as PID 1 in its place, or an init (docker run --init)',
  );
}

function examineListeners(pid: number): readonly Finding[] {
  let found: ProgramListeners;
  try {
    found = findListeners(pid);
  } catch (error) {
    return [problem('listeners', `its listeners cannot be found (${messageOf(error)})`, WAYS_OUT)];
  }
  const { listeners, unreadable, tree } = found;
  const findings: Finding[] = [];
  if (unreadable.length > 0) {
    findings.push(
      problem(
        'listeners',
        `process ${unreadable.join(', ')} of the program cannot be looked into: it gets the signal only`,
        WAYS_OUT,
      ),
    );
  } else if (listeners.length === 0) {
    findings.push(
      note(
        'listeners',
        `process ${pid} and its ${tree.size - 1} descendants listen on nothing`,
        'name the process that serves',
      ),
    );
  }
  findings.push(...listeners.map(judgeListener), ...examineItsQueues(pid, listeners));
  return findings;
}

function judgeListener(held: HeldListener): Finding {
  const { name, sharedBecause, holders, socket } = held;
  const where = `${name}: held by ${holders.length === 1 ? `process ${holders[0]?.pid}` : `${holders.length} processes of the program`}`;
  if (sharedBecause !== undefined) {
    return warning(
      'listener',
      `${where}; it counts as shared: ${sharedBecause}. Its gate is not shut, and its queue is left to who else holds it`,
      'stop the other holder, too; or let `lastcall run --listen` open it',
    );
  }
  if (socket.device === NO_INTERFACE || socket.isShut === true) {
    return warning(
      'listener',
      `${where}; its gate is shut: a stop is under way, or one was killed in the middle`,
      '`lastcall stop` once more',
    );
  }
  if (socket.device !== undefined && socket.device !== 0) {
    return warning(
      'listener',
      `${where}; it is bound to a device: refuse needs CAP_NET_RAW`,
      'the capability, or bind to an address',
    );
  }
  try {
    reachListener(held, new Map()).close();
  } catch (error) {
    return problem(
      'listener',
      `${where}; it cannot be reached (${messageOf(error)}): the program gets the signal only`,
      WAYS_OUT,
    );
  }
  if (socket.address.family === 'Unix') {
    return note('listener', `${where}; its gate can be shut, not opened again`, '`lastcall stop` needs --kill for it');
  }
  return good('listener', `${where}; its gate can be shut`);
}

function examineItsQueues(pid: number, listeners: readonly HeldListener[]): readonly Finding[] {
  const inodes = new Set(listeners.map(({ socket }) => socket.inode));
  const somaxconn = readSysctl('net.core.somaxconn');
  const samples = sampleListeners(
    namespaceOf(pid),
    ({ inode }) => inodes.has(inode),
    () => new Map(),
  );
  return samples.flatMap((sample) => [
    ...(sample.sockets === 1
      ? []
      : [
          note(
            'reuseport',
            `${sample.address}: ${sample.sockets} sockets share the address (SO_REUSEPORT); all are shut together`,
          ),
        ]),
    ...judgeQueue(sample, somaxconn),
  ]);
}

function isNode(pid: number): boolean {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`)).startsWith('node');
  } catch {
    return false;
  }
}

/** The program's own line: what it is. */
export function describeProgram(pid: number): Finding {
  return good('program', `process ${pid}: ${commandOf(pid)}`);
}

function messageOf(error: unknown): string {
  if (error instanceof SystemCallError) return error.message;
  return error instanceof Error ? error.message : String(error);
}
