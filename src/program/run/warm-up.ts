import { inodeOf } from '../../linux/descriptors.ts';
import { requireLibc } from '../../linux/libc.ts';
import { openListener } from '../../linux/open-listener.ts';
import { findListeners } from '../find/find-listeners.ts';
import { OWN } from '../find/namespace.ts';
import { sampleCookies } from '../gate/syn-cookies.ts';
import { copyListener } from '../gate/copied-listener.ts';
import { shutProgramGate } from '../gate/program-gate.ts';
import { countHalfOpenAt } from '../gate/connections.ts';
import { readTraffic } from '../gate/traffic.ts';

// The address of a socket of our own, which no client uses: it is opened, shut and closed within one call.
const SCRATCH = { family: 'IPv4', address: '127.0.0.1', port: 0 } as const;

// How often to run the longest part: the first time loads its code, the others let the engine optimize it.
const TIMES = 3;

/**
 * Runs the code of a stop once, on a socket of our own: the first run takes longer than everything that a stop does until its
 * gates are shut. Does not touch the program. Never throws.
 */
export function warmUp(pid: number): void {
  try {
    for (let time = 0; time < TIMES; time++) findListeners(pid);
    sampleCookies();
    const fd = openListener(SCRATCH, 1);
    try {
      warmUpGate(fd);
    } finally {
      requireLibc().close(fd);
    }
  } catch {
    // The stop reports what does not work.
  }
}

function warmUpGate(fd: number): void {
  const socket = { inode: inodeOf(fd), address: SCRATCH, queued: 0, limit: 1, uid: 0 };
  const holders = [{ pid: process.pid, fd }];
  const held = { socket, name: '', namespace: OWN, holders, sharedBecause: undefined, isPassed: false };
  const listener = copyListener(held, new Map());
  try {
    shutProgramGate(listener);
    listener.queued();
    countHalfOpenAt(listener.held);
    readTraffic([listener.held]);
  } finally {
    listener.close();
  }
}
