import { readSysctl } from '../../linux/sysctl.ts';
import { readCookieCounters, releaseCookieCounters } from '../../linux/tables/tcp-counters.ts';
import type { ListenerSample } from '../watch/sample-listeners.ts';
import { type Finding, good, note, problem, warning } from './finding.ts';

/** Examines what the kernel does when a queue is full, in this network namespace. */
export function examineQueues(): readonly Finding[] {
  const sent = readCookieCounters()?.sent;
  releaseCookieCounters();
  return [
    judgeCookies(readSysctl('net.ipv4.tcp_syncookies'), sent),
    judgeAbort(readSysctl('net.ipv4.tcp_abort_on_overflow')),
    judgeSomaxconn(readSysctl('net.core.somaxconn')),
  ];
}

/** `setting` is net.ipv4.tcp_syncookies; `sent` is the number of cookies since the namespace was made. */
export function judgeCookies(setting: number | undefined, sent: number | undefined): Finding {
  if (setting === undefined) return note('syncookies', 'net.ipv4.tcp_syncookies cannot be read');
  if (setting === 2) {
    return warning(
      'syncookies',
      'net.ipv4.tcp_syncookies is 2: every handshake uses a cookie, and a client whose cookie is out when a gate shuts is reset',
      'set it to 1; with 2 a stop needs CAP_NET_ADMIN to wait for cookies',
    );
  }
  if (setting === 0) return good('syncookies', 'net.ipv4.tcp_syncookies is 0: the kernel sends none');
  const soFar = sent === undefined || sent === 0 ? 'none sent so far' : `${sent} sent so far`;
  return sent === undefined || sent === 0
    ? good('syncookies', `net.ipv4.tcp_syncookies is 1: the kernel sends cookies when a SYN queue is full; ${soFar}`)
    : note(
        'syncookies',
        `net.ipv4.tcp_syncookies is 1, ${soFar}: a backlog was full; a stop waits for cookies that are out`,
        'use a larger backlog',
      );
}

export function judgeAbort(setting: number | undefined): Finding {
  if (setting !== 1)
    return good('abort-on-overflow', 'a client whose final ACK meets a full accept queue is not reset');
  return problem(
    'abort-on-overflow',
    'net.ipv4.tcp_abort_on_overflow is 1: the kernel resets a client whose final ACK meets a full accept queue',
    'run sysctl net.ipv4.tcp_abort_on_overflow=0',
  );
}

// The kernel's default since Linux 5.4; before that it was 128.
const USUAL_SOMAXCONN = 4_096;

export function judgeSomaxconn(value: number | undefined): Finding {
  if (value === undefined) return note('somaxconn', 'net.core.somaxconn cannot be read');
  if (value >= USUAL_SOMAXCONN)
    return good('somaxconn', `net.core.somaxconn is ${value}: backlogs up to that are allowed`);
  return note(
    'somaxconn',
    `net.core.somaxconn is ${value}: larger backlogs are cut to that`,
    `run sysctl net.core.somaxconn=${USUAL_SOMAXCONN}`,
  );
}

// A smaller backlog overflows in a short burst. Node's default is 511.
const SMALL_BACKLOG = 128;

/** Judges the queue of one listener. `somaxconn` is the limit of the kernel. */
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
        `${address}: the accept queue holds only ${each}; clients beyond that get no answer for at least 1 s`,
        `listen with a backlog of ${Math.min(somaxconn ?? SMALL_BACKLOG, 511)} or more`,
      ),
    ];
  }
  if (each === somaxconn && each < USUAL_SOMAXCONN) {
    return [
      note(
        'backlog',
        `${address}: its backlog of ${each} is the limit of net.core.somaxconn`,
        'raise net.core.somaxconn',
      ),
    ];
  }
  return [good('backlog', `${address}: the accept queue holds ${each}`)];
}

function judgeDrops({ address, drops }: ListenerSample): readonly Finding[] {
  if (drops === undefined || drops === 0) return [];
  return [
    warning(
      'drops',
      `${address}: has turned away ${drops} SYNs or final ACKs since it was made, because its accept queue was full`,
      'use a larger backlog, or accept faster',
    ),
  ];
}
