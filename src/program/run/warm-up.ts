import { inodeOf } from '../../linux/descriptors.ts';
import { requireLibc } from '../../linux/libc.ts';
import { openListener } from '../../linux/open-listener.ts';
import { findListeners } from '../find/find-listeners.ts';
import { sampleCookies } from '../gate/outside-cookies.ts';
import { reachListener, shutFromOutside } from '../gate/outside-gate.ts';
import { OWN } from '../find/namespace.ts';
import { countHalfOpenAt, lookAtTraffic } from '../gate/traffic.ts';

// The state of the real thing is nobody's business: a socket on this address is refused at once, and closed.
const SCRATCH = { family: 'IPv4', address: '127.0.0.1', port: 0 } as const;

// Of the longest part: the first time loads it, and the others let the engine see what it does.
const TIMES = 3;

/**
 * Walks the way of a stop once, on a socket of our own: code that runs for the first time takes longer than all that a stop has to
 * do until its gates are shut. Nothing of the program is touched. Never throws.
 */
export function rehearse(pid: number): void {
  try {
    for (let time = 0; time < TIMES; time++) findListeners(pid);
    sampleCookies();
    const fd = openListener(SCRATCH, 1);
    try {
      rehearseGate(fd);
    } finally {
      requireLibc().close(fd);
    }
  } catch {
    // What does not work is told when it matters.
  }
}

function rehearseGate(fd: number): void {
  const socket = { inode: inodeOf(fd), address: SCRATCH, queued: 0, limit: 1, uid: 0 };
  const holders = [{ pid: process.pid, fd }];
  const reached = reachListener({ socket, name: '', namespace: OWN, holders, sharedBecause: undefined }, new Map());
  try {
    shutFromOutside(reached);
    reached.queued();
    countHalfOpenAt(reached.held);
    lookAtTraffic([reached.held]);
  } finally {
    reached.close();
  }
}
