import os from 'node:os';
import { loadLibc } from '../../linux/libc.ts';
import { CAPABILITIES, type Capability, has, readStatus } from '../../linux/process/status.ts';
import { dumpTcpListeners } from '../../linux/tables/inet-diag.ts';
import { type Finding, good, note, problem, warning } from './finding.ts';

/** What the machine and this process's rights allow. */
export function examineHost(): readonly Finding[] {
  return [judgeKernel(process.platform, os.release()), judgeFfi(), examineCapabilities(), examineSockDiag()];
}

// SO_BINDTOIFINDEX without privileges, and pidfd_getfd.
const REFUSE_SINCE = [5, 7] as const;
const REACH_SINCE = [5, 6] as const;

/** `release` as uname(2) tells it: `6.1.0-13-amd64`. */
export function judgeKernel(platform: string, release: string): Finding {
  if (platform !== 'linux') {
    return problem('kernel', `this is ${platform}: no gate can be shut`, 'lastcall drains queues on Linux only');
  }
  if (isBefore(release, REACH_SINCE)) {
    return problem(
      'kernel',
      `Linux ${release} has no pidfd_getfd(2), and refuses an unprivileged gate`,
      'Linux 5.7 or later; before that `lastcall run --listen` with CAP_NET_RAW',
    );
  }
  if (isBefore(release, REFUSE_SINCE)) {
    return warning(
      'kernel',
      `Linux ${release} asks for CAP_NET_RAW to shut a gate`,
      'Linux 5.7 or later, or the capability',
    );
  }
  return good('kernel', `Linux ${release}`);
}

function isBefore(release: string, [major, minor]: readonly [number, number]): boolean {
  const [, first = '', second = ''] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  // A version that does not read as one is tried, not judged.
  if (first === '') return false;
  return Number(first) < major || (Number(first) === major && Number(second) < minor);
}

function judgeFfi(): Finding {
  const loaded = loadLibc();
  if (loaded.available) return good('ffi', 'system calls can be made (koffi has loaded)');
  return problem('ffi', loaded.reason, 'install koffi for this platform: npm ci, without --omit=optional');
}

const USES: Readonly<Record<Capability, string>> = {
  CAP_NET_RAW: 'opens a gate again',
  CAP_SYS_PTRACE: "reaches other users' listeners",
  CAP_KILL: "signals other users' programs",
  CAP_NET_ADMIN: 'holds new connections back',
};

function examineCapabilities(): Finding {
  const status = readStatus('self');
  if (status === undefined) return note('capabilities', 'the capabilities of this process cannot be read (/proc)');
  const held = Object.keys(CAPABILITIES).filter((name) => isCapability(name) && has(status, name));
  const user = `uid ${process.geteuid?.()}`;
  if (held.length === 0) {
    return note(
      'capabilities',
      `${user} has none that would help: gates can be shut, not opened again, and other users' programs not stopped`,
    );
  }
  const list = held.map((name) => (isCapability(name) ? `${name} (${USES[name]})` : name)).join(', ');
  return good('capabilities', `${user} has ${list}`);
}

function isCapability(name: string): name is Capability {
  return name in CAPABILITIES;
}

function examineSockDiag(): Finding {
  try {
    return good(
      'sock-diag',
      `the kernel tells of its sockets by netlink: TCP listeners here: ${dumpTcpListeners().length}`,
    );
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return warning(
      'sock-diag',
      `sockets are not told of by netlink (${why}): /proc is read instead, which takes longer, and tells less`,
      'modprobe tcp_diag unix_diag, or a seccomp profile that allows AF_NETLINK',
    );
  }
}
