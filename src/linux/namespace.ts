import { closeSync, openSync } from 'node:fs';
import { bindFunction, check } from './libc.ts';

// linux/sched.h
export const CLONE_NEWNET = 0x40000000;

/** Runs `act` in the network namespace of the descriptor, and comes back (setns(2)). `act` must not be asynchronous. */
export function inNetworkNamespace<T>(namespace: number, act: () => T): T {
  const setns = bindFunction('int setns(int fd, int kind)');
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    check('setns', setns(namespace, CLONE_NEWNET));
    return act();
  } finally {
    check('setns', setns(home, CLONE_NEWNET));
    closeSync(home);
  }
}
