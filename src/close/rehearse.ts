import type net from 'node:net';
import { AF_INET, SOCK_CLOEXEC, SOCK_STREAM } from '../linux/constants.ts';
import { hasChildren } from '../linux/holders.ts';
import { check, loadLibc } from '../linux/libc.ts';
import { mayHaveCookiesOut } from '../listener/cookies.ts';
import { countHalfOpen, countQueued } from '../listener/count-queues.ts';
import { shutGate } from '../listener/gate.ts';
import { listenerOf } from '../listener/listener.ts';
import { findSharing } from '../listener/sharing.ts';

import { CloseClock } from './clock.ts';
import { completeOptions } from './options.ts';

let isDone = false;

/**
 * Goes through a close once when the first server listens, on a socket that nobody knows: code that has never run takes
 * milliseconds the first time, and the gate has to shut in less than one.
 */
export function rehearseClose(server: net.Server): void {
  const loaded = loadLibc();
  const listener = listenerOf(server);
  if (isDone || !loaded.available || listener === undefined) return;
  isDone = true;
  new CloseClock(completeOptions()).end();
  // With children it might search all of /proc; without, it is the path that a close takes.
  if (!hasChildren()) findSharing(listener);
  mayHaveCookiesOut(listener);
  countQueued(listener);
  countHalfOpen(listener);
  const scratch = check('socket', loaded.libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  try {
    shutGate(scratch, { sharedBecause: undefined, noSystemCalls: undefined, family: 'IPv4', newConnections: 'refuse' });
  } finally {
    loaded.libc.close(scratch);
  }
}
