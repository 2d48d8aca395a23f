import { readSysctl } from '../../linux/sysctl.ts';
import { readCookieCounters, releaseCookieCounters } from '../../linux/tables/tcp-counters.ts';
import type { ListenerSample } from '../watch/sample-listeners.ts';
import { type Finding, good, note, problem, warning } from './finding.ts';

/** What the kernel does with queues that are full, in this network namespace. */
export function examineQueues(): readonly Finding[] {
  const sent = readCookieCounters()?.sent;
  releaseCookieCounters();
  return [
    judgeCookies(readSysctl('net.ipv4.tcp_syncookies'), sent),
    judgeAbort(readSysctl('net.ipv4.tcp_abort_on_overflow')),
    judgeSomaxconn(readSysctl('net.core.somaxconn')),
  ];
}

/** `setting` is net.ipv4.tcp_syncookies; `sent` counts since the namespace was made. */
export function judgeCookies(setting: number | undefined, sent: number | undefined): Finding {
  if (setting === undefined) return note('syncookies', 'net.ipv4.tcp_syncookies cannot be read');
  if (setting === 2) {
    return warning(
      'syncookies',
      'net.ipv4.tcp_syncookies is 2: every handshake is a cookie, and one that is out when a gate shuts is reset',
      'set it to 1; with 2 only CAP_NET_ADMIN can wait for them',
    );
  }
  if (setting === 0) return good('syncookies', 'net.ipv4.tcp_syncookies is 0: none are sent');
  const soFar = sent === undefined || sent === 0 ? 'none sent so far' : `${sent} sent so far`;
  return sent === undefined || sent === 0
    ? good('syncookies', `net.ipv4.tcp_syncookies is 1: sent when a SYN queue is full; ${soFar}`)
    : note(
        'syncookies',
        `net.ipv4.tcp_syncookies is 1, ${soFar}: a backlog was full; a gate waits for those that are out`,
        'a larger backlog',
      );
}

export function judgeAbort(setting: number | undefined): Finding {
  if (setting !== 1) return good('abort-on-overflow', 'a client whose final ACK meets a full queue is not reset');
  return problem(
    'abort-on-overflow',
    'net.ipv4.tcp_abort_on_overflow is 1: a client whose final ACK meets a full accept queue is reset, by the kernel',
    'sysctl net.ipv4.tcp_abort_on_overflow=0',
  );
}

// The kernel's default since 5.4, and before.
const USUAL_SOMAXCONN = 4_096;

export function judgeSomaxconn(value: number | undefined): Finding {
  if (value === undefined) return note('somaxconn', 'net.core.somaxconn cannot be read');
  if (value >= USUAL_SOMAXCONN)
    return good('somaxconn', `net.core.somaxconn is ${value}: no backlog is cut below that`);
  return note(
    'somaxconn',
    `net.core.somaxconn is ${value}: every larger backlog is cut to that`,
    `sysctl net.core.somaxconn=${USUAL_SOMAXCONN}`,
  );
}

// Node's own default is 511; what holds less overflows in a short burst.
const SMALL_BACKLOG = 128;

/** The queue of one listener. `somaxconn` is what the kernel allows. */
export function judgeQueue(listener: ListenerSample, somaxconn: number | undefined): readonly Finding[] {
  return [...judgeBacklog(listener, somaxconn), ...judgeDrops(listener)];
}

function judgeBacklog({ address, limit, sockets }: ListenerSample, somaxconn: number | undefined): readonly Finding[] {
  if (limit === undefined) return [];
  const each = Math.round(limit / sockets);
  if (each < SMALL_BACKLOG) {
    return [
      warning(
        'backlog',
        `${address}: only ${each} may wait to be accepted; who comes when they do is not answered for 1 s or longer`,
        `listen with a backlog of ${Math.min(somaxconn ?? SMALL_BACKLOG, 511)} or more`,
      ),
    ];
  }
  if (each === somaxconn && each < USUAL_SOMAXCONN) {
    return [
      note('backlog', `${address}: its backlog of ${each} is what net.core.somaxconn allows`, 'a larger somaxconn'),
    ];
  }
  return [good('backlog', `${address}: ${each} may wait to be accepted`)];
}

function judgeDrops({ address, drops }: ListenerSample): readonly Finding[] {
  if (drops === undefined || drops === 0) return [];
  return [
    warning(
      'drops',
      `${address}: has turned ${drops} SYNs or final ACKs away since it was made: its accept queue was full`,
      'a larger backlog, or a program that accepts sooner',
    ),
  ];
}
