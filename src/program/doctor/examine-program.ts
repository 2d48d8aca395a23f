import { messageOf } from '../../errors.ts';
import { type ProcessStatus, readStatus } from '../../linux/process/status.ts';
import { readSysctl } from '../../linux/sysctl.ts';
import { NO_INTERFACE } from '../../listener/gate/refuse.ts';
import { commandOf, isNode } from '../find/command-line.ts';
import { findListeners, type HeldListener, type ProgramListeners } from '../find/find-listeners.ts';
import { namespaceOf } from '../find/namespace.ts';
import { copyListener } from '../gate/copied-listener.ts';
import { sampleListeners } from '../watch/sample-listeners.ts';
import { judgeQueue } from './examine-queues.ts';
import { type Finding, good, note, problem, warning } from './finding.ts';

const WAYS_OUT = 'use CAP_SYS_PTRACE, or `lastcall run` with --listen, or --inside for Node';

/** Examines what decides a stop of this program. Changes nothing: it only copies descriptors of the listeners, and closes them. */
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
    return good('signal-right', `this user may signal process ${pid}`);
  } catch {
    return problem(
      'signal-right',
      `this user may not signal process ${pid}`,
      "run lastcall as the program's user, or with CAP_KILL",
    );
  }
}

/**
 * What the stop signal does to a process. Node always catches SIGTERM and SIGINT, and raises them again if the program has no
 * handler (SignalExit, src/node.cc): for Node the kernel's answer is not enough.
 */
export function judgeHandler(pid: number, status: ProcessStatus, signal: NodeJS.Signals, isNode: boolean): Finding {
  const { innerPid, caught, ignored } = status;
  if (isNode && caught.has(signal)) return judgeNode(pid, innerPid, signal);
  if (caught.has(signal)) return good('signal-handler', `process ${pid} catches ${signal}`);
  if (ignored.has(signal)) {
    return problem(
      'signal-handler',
      `process ${pid} ignores ${signal}: it is killed at the deadline`,
      'use the --signal that stops it, such as SIGQUIT',
    );
  }
  if (innerPid === 1) {
    return problem(
      'signal-handler',
      `process ${pid} is PID 1 of its namespace and does not catch ${signal}: the kernel drops the signal, and it is killed`,
      'run it below `lastcall run`, which becomes PID 1, or below an init (docker run --init)',
    );
  }
  return note(
    'signal-handler',
    `process ${pid} does not catch ${signal}: it ends at once, and cuts the connections that it has accepted`,
    'use `lastcall run` or `lastcall stop`, which wait until no client waits for an answer; for Node use lastcall/register',
  );
}

function judgeNode(pid: number, innerPid: number, signal: NodeJS.Signals): Finding {
  const says = `process ${pid} is Node: whether the program itself handles ${signal} cannot be seen`;
  if (innerPid !== 1) {
    return note('signal-handler', `${says}; if not, it ends at once`, 'use lastcall/register, or lastCall(server)');
  }
  return warning(
    'signal-handler',
    `${says}; it is PID 1 of its namespace, and without a handler the signal does nothing`,
    'use lastcall/register, or run it below `lastcall run` or an init (docker run --init), which becomes PID 1',
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
        `process ${unreadable.join(', ')} of the program cannot be inspected: the program only gets the signal`,
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
  findings.push(...listeners.map(judgeListener), ...examineQueuesOf(pid, listeners));
  return findings;
}

function judgeListener(held: HeldListener): Finding {
  const { name, sharedBecause, holders, socket } = held;
  const where = `${name}: held by ${holders.length === 1 ? `process ${holders[0]?.pid}` : `${holders.length} processes of the program`}`;
  if (sharedBecause !== undefined) {
    return warning(
      'listener',
      `${where}; it counts as shared: ${sharedBecause}. A stop leaves its gate open and its queue to the other holder`,
      'stop the other holder, too, or let `lastcall run --listen` open it',
    );
  }
  if (socket.device === NO_INTERFACE || socket.isShut === true) {
    return warning(
      'listener',
      `${where}; its gate is shut: a stop is running, or was killed`,
      'run `lastcall stop` again',
    );
  }
  if (socket.device !== undefined && socket.device !== 0) {
    return warning(
      'listener',
      `${where}; it is bound to a device: the gate refuse needs CAP_NET_RAW`,
      'use CAP_NET_RAW, or bind to an address',
    );
  }
  try {
    copyListener(held, new Map()).close();
  } catch (error) {
    return problem(
      'listener',
      `${where}; it cannot be reached (${messageOf(error)}): the program only gets the signal`,
      WAYS_OUT,
    );
  }
  if (socket.address.family === 'Unix') {
    return note('listener', `${where}; its gate can be shut, but not opened again`, 'use `lastcall stop` with --kill');
  }
  return good('listener', `${where}; its gate can be shut`);
}

function examineQueuesOf(pid: number, listeners: readonly HeldListener[]): readonly Finding[] {
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
            `${sample.address}: ${sample.sockets} sockets share the address (SO_REUSEPORT), and are shut together`,
          ),
        ]),
    ...judgeQueue(sample, somaxconn),
  ]);
}

/** Names the program. */
export function describeProgram(pid: number): Finding {
  return good('program', `process ${pid}: ${commandOf(pid)}`);
}
