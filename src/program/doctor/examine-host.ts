import os from 'node:os';
import { loadLibc, messageOf } from '../../linux/libc.ts';
import { CAPABILITIES, type Capability, has, readStatus } from '../../linux/process/status.ts';
import { dumpTcpListeners } from '../../linux/tables/inet-diag.ts';
import { type Finding, good, note, problem, warning } from './finding.ts';

/** Examines the kernel, the FFI, and the rights of this process. */
export function examineHost(): readonly Finding[] {
  return [judgeKernel(process.platform, os.release()), judgeFfi(), examineCapabilities(), examineSockDiag()];
}

// SO_BINDTOIFINDEX without privileges, and pidfd_getfd(2).
const REFUSE_SINCE = [5, 7] as const;
const REACH_SINCE = [5, 6] as const;

/** `release` as uname(2) returns it: `6.1.0-13-amd64`. */
export function judgeKernel(platform: string, release: string): Finding {
  if (platform !== 'linux') {
    return problem(
      'kernel',
      `this is ${platform}: no gate can be shut`,
      'run it on Linux: lastcall drains queues on Linux only',
    );
  }
  if (isBefore(release, REACH_SINCE)) {
    return problem(
      'kernel',
      `Linux ${release} has no pidfd_getfd(2), and needs CAP_NET_RAW to shut a gate`,
      'use Linux 5.7 or later; before that use `lastcall run --listen` with CAP_NET_RAW',
    );
  }
  if (isBefore(release, REFUSE_SINCE)) {
    return warning(
      'kernel',
      `Linux ${release} needs CAP_NET_RAW to shut a gate`,
      'use Linux 5.7 or later, or CAP_NET_RAW',
    );
  }
  return good('kernel', `Linux ${release}`);
}

function isBefore(release: string, [major, minor]: readonly [number, number]): boolean {
  const [, first = '', second = ''] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  // An unknown format counts as new enough: the gates are tried anyway.
  if (first === '') return false;
  return Number(first) < major || (Number(first) === major && Number(second) < minor);
}

function judgeFfi(): Finding {
  const loaded = loadLibc();
  if (loaded.available) return good('ffi', 'system calls can be made (koffi has loaded)');
  return problem('ffi', loaded.reason, 'install koffi for this platform: run npm ci without --omit=optional');
}

const USES: Readonly<Record<Capability, string>> = {
  CAP_NET_RAW: 'opens a gate again',
  CAP_SYS_PTRACE: "reaches other users' listeners",
  CAP_KILL: "signals other users' programs",
  CAP_NET_ADMIN: 'holds new connections',
};

function examineCapabilities(): Finding {
  const status = readStatus('self');
  if (status === undefined) return note('capabilities', 'the capabilities of this process cannot be read (/proc)');
  const held = Object.keys(CAPABILITIES).filter((name) => isCapability(name) && has(status, name));
  const user = `uid ${process.geteuid?.()}`;
  if (held.length === 0) {
    return note(
      'capabilities',
      `${user} has none of those that help: it cannot open a shut gate again, or stop programs of other users`,
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
    return good('sock-diag', `netlink lists the sockets of this namespace: ${dumpTcpListeners().length} TCP listeners`);
  } catch (error) {
    return warning(
      'sock-diag',
      `netlink does not list sockets (${messageOf(error)}): /proc takes its place, which is slower and has less`,
      'run modprobe tcp_diag unix_diag, or use a seccomp profile that allows AF_NETLINK',
    );
  }
}
