import type { Gate } from '../../close/report.ts';
import { TCP_DEFER_ACCEPT, IPPROTO_TCP } from '../../linux/constants.ts';
import { messageOf, SystemCallError } from '../../linux/libc.ts';
import { isListening, listen, setIntOption } from '../../linux/sockets.ts';
import { holdNewConnections } from './hold.ts';
import { isBoundToDevice, refuseNewConnections } from './refuse.ts';
import { shutUnixListener } from './unix.ts';

/** What decides on the gate of a listener. */
export interface GateFacts {
  /** Why it counts as shared with another process; undefined if it does not. */
  readonly sharedBecause: string | undefined;
  /** Why no system call can be made; undefined if they can. */
  readonly noSystemCalls: string | undefined;
  readonly family: 'IPv4' | 'IPv6' | 'Unix' | undefined;
  /** What the caller would like new clients to meet. */
  readonly newConnections: 'refuse' | 'hold';
}

/** The gate that was shut, and why no better one. */
export interface ShutGate {
  readonly gate: Gate;
  readonly reason?: string;
}

/** More than net.core.somaxconn allows anywhere we have met; the kernel takes the lesser of the two. */
export const LARGE_BACKLOG = 4_096;

/** The methods worth trying, best first. What the process may do is found by trying: the kernel's EPERM is the one true answer. */
export function chooseGates(facts: GateFacts): readonly Gate[] {
  if (facts.sharedBecause !== undefined) return ['shared'];
  if (facts.noSystemCalls !== undefined || facts.family === undefined) return ['none'];
  if (facts.family === 'Unix') return ['unix', 'none'];
  return facts.newConnections === 'hold' ? ['hold', 'refuse', 'none'] : ['refuse', 'hold', 'none'];
}

/** Shuts the gate of the listener `fd` by the first of the chosen methods that the kernel allows. Never throws. */
export function shutGate(fd: number | undefined, facts: GateFacts): ShutGate {
  const failures: string[] = [];
  for (const gate of chooseGates(facts)) {
    const failure = gate === 'shared' || gate === 'none' || fd === undefined ? undefined : tryGate(gate, fd);
    if (failure === undefined) return withReason(gate, [facts.sharedBecause ?? facts.noSystemCalls, ...failures]);
    failures.push(failure);
  }
  return withReason('none', failures);
}

/**
 * Makes room for everyone who was let in: a silent client held back by TCP_DEFER_ACCEPT comes into the queue, and a
 * final ACK that meets a full queue would be dropped, or answered with RST where tcp_abort_on_overflow is set.
 */
export function makeRoom(fd: number): void {
  // listen(2) would make a listener of a socket that is none, such as the one of a rehearsal.
  if (!isListening(fd)) return;
  for (const step of [() => setIntOption(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0), () => listen(fd, LARGE_BACKLOG)]) {
    try {
      step();
    } catch {
      // The gate is shut all the same; clients that this would have helped come in at their retransmission.
    }
  }
}

function tryGate(gate: 'refuse' | 'hold' | 'unix', fd: number): string | undefined {
  try {
    METHODS[gate](fd);
    return undefined;
  } catch (error) {
    return explain(gate, fd, error);
  }
}

const METHODS = { refuse: refuseNewConnections, hold: holdNewConnections, unix: shutUnixListener } as const;

function explain(gate: Gate, fd: number, error: unknown): string {
  const said = messageOf(error);
  if (!(error instanceof SystemCallError)) return `${gate}: ${said}`;
  if (gate === 'hold' && error.code === 'EPERM') return `hold needs CAP_NET_ADMIN (${said})`;
  if (gate === 'refuse' && error.code === 'EPERM' && isBoundToDevice(fd)) {
    return `refuse needs CAP_NET_RAW: the listener is bound to a device already (${said})`;
  }
  if (gate === 'refuse' && error.code === 'ENOPROTOOPT') return `refuse needs Linux 5.1 or later (${said})`;
  if (gate === 'refuse' && error.code === 'EPERM') return `refuse needs Linux 5.7 or later, or CAP_NET_RAW (${said})`;
  return `${gate}: ${said}`;
}

function withReason(gate: Gate, reasons: readonly (string | undefined)[]): ShutGate {
  const reason = reasons.filter((part) => part !== undefined).join('; ');
  return reason === '' ? { gate } : { gate, reason };
}
