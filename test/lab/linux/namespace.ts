import { openSync, readdirSync, readlinkSync } from 'node:fs';
import { bindFunction, check } from '../../../src/linux/libc.ts';
import { CLONE_NEWNET } from '../../../src/linux/namespace.ts';

/**
 * Moves this thread into a new network namespace, unshare(2), and returns a descriptor that keeps it alive.
 * Call it on the main thread: /proc/net and /proc/sys/net follow the thread group's leader.
 */
export function createNetworkNamespace(): number {
  const unshare = bindFunction('int unshare(int flags)');
  check('unshare', unshare(CLONE_NEWNET));
  return openSync('/proc/thread-self/ns/net', 'r');
}

/** The name by which the kernel tells this namespace from all others, such as `net:[4026531840]`. */
export function networkNamespaceName(namespace: number): string {
  return readlinkSync(`/proc/self/fd/${namespace}`);
}

/** The processes, other than this one, that live in one of the namespaces of these names. */
export function processesIn(names: readonly string[]): readonly number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => pid !== process.pid && names.includes(networkNamespaceOf(pid) ?? ''));
}

function networkNamespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined; // It has ended since, or is a zombie, which lives nowhere.
  }
}
