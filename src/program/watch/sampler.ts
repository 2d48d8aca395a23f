import { hasEnded, readStat, socketsOf } from '../../linux/process/processes.ts';
import type { TcpCounters } from '../../linux/tables/tcp-counters.ts';
import { type Namespace, namespaceOf, OWN } from '../find/namespace.ts';
import { findTree } from '../find/process-tree.ts';
import { isAtTarget, type Target, TargetError } from '../find/target.ts';
import { type AddressCounts, countConnections, type NamedAddress } from './count-connections.ts';
import { type ListenerSample, sampleListeners } from './sample-listeners.ts';

/** The listeners, counters and rates at one moment. */
export interface WatchSample {
  /** ms since 1970. */
  readonly time: number;
  readonly listeners: readonly ListenerSample[];
  /** Of the network namespace, over all its listeners; undefined if they cannot be read. */
  readonly counters: TcpCounters | undefined;
  /** The growth of the counters since the previous sample, per second; undefined in the first sample. */
  readonly rates: TcpCounters | undefined;
  /** The age of the counts of connections and half-open connections, in ms. */
  readonly connectionsAge: number;
}

/**
 * To count connections the kernel walks all of them, which takes 20 ms of CPU time with 10,000. The next count comes after this
 * many times the cost of the last, so that counting takes at most a hundredth of a core.
 */
const COUNTING_SHARE = 100;

/** Samples listeners again and again, and computes rates between two samples. Changes nothing. */
export class Sampler {
  readonly #target: Target | undefined;
  readonly #namespace: Namespace;
  #before: { readonly at: number; readonly counters: TcpCounters } | undefined;
  #counted:
    | { readonly at: number; readonly cost: number; readonly counts: ReadonlyMap<string, AddressCounts> }
    | undefined;
  #held: { readonly table: string; readonly inodes: ReadonlySet<number> } | undefined;

  /** Without a target it samples all TCP listeners. Throws a `TargetError` if there is no such process, or if it cannot be inspected. */
  constructor(target: Target | undefined) {
    this.#target = target;
    this.#namespace = target?.kind === 'process' ? namespaceOf(target.pid) : OWN;
    if (target?.kind !== 'process') return;
    if (!this.isRunning()) throw new TargetError('not found', `There is no process ${target.pid}`);
    try {
      socketsOf(target.pid);
    } catch {
      throw new TargetError('hidden', `This user cannot inspect process ${target.pid}: name its port instead`);
    }
  }

  /** False once the target process has ended. A port or path has no end. */
  isRunning(): boolean {
    if (this.#target?.kind !== 'process') return true;
    const stat = readStat(this.#target.pid);
    return stat !== undefined && !hasEnded(stat);
  }

  sample(): WatchSample {
    const at = performance.now();
    const counters = this.#readCounters();
    const rates = counters === undefined ? undefined : this.#ratesAt(at, counters);
    if (counters !== undefined) this.#before = { at, counters };
    const listeners = this.#sampleListeners();
    const connectionsAge = this.#counted === undefined ? 0 : Math.max(0, Math.round(at - this.#counted.at));
    return { time: Date.now(), listeners, counters, rates, connectionsAge };
  }

  readonly #countConnections = (
    namespace: Namespace,
    addresses: readonly NamedAddress[],
  ): ReadonlyMap<string, AddressCounts> => {
    const at = performance.now();
    const before = this.#counted;
    const isFresh = before !== undefined && at - before.at < before.cost * COUNTING_SHARE;
    if (isFresh && addresses.every(({ name }) => before.counts.has(name))) return before.counts;
    const used = process.cpuUsage();
    const counts = countConnections(namespace, addresses);
    const { user, system } = process.cpuUsage(used);
    this.#counted = { at, cost: (user + system) / 1_000, counts };
    return counts;
  };

  #readCounters(): TcpCounters | undefined {
    try {
      return this.#namespace.counters();
    } catch {
      return undefined;
    }
  }

  #ratesAt(at: number, now: TcpCounters): TcpCounters | undefined {
    if (this.#before === undefined) return undefined;
    const { counters: before, at: then } = this.#before;
    const rate = (name: keyof TcpCounters): number => ((now[name] - before[name]) * 1_000) / Math.max(1, at - then);
    return {
      newConnections: rate('newConnections'),
      overflows: rate('overflows'),
      drops: rate('drops'),
      resets: rate('resets'),
      cookies: rate('cookies'),
    };
  }

  #sampleListeners(): readonly ListenerSample[] {
    const target = this.#target;
    const inodes = target?.kind === 'process' ? this.#inodesOf(target.pid) : undefined;
    return sampleListeners(
      this.#namespace,
      ({ inode, address }) => {
        if (target === undefined) return address.family !== 'Unix';
        return inodes === undefined ? isAtTarget(address, target) : inodes.has(inode);
      },
      this.#countConnections,
    );
  }

  /** Searches the holders again only if the listeners have changed: the search takes the longest. */
  #inodesOf(pid: number): ReadonlySet<number> {
    const table = this.#namespace
      .listeners()
      .map(({ inode }) => inode)
      .join(' ');
    if (this.#held?.table !== table) this.#held = { table, inodes: inodesHeldBy(pid) };
    return this.#held.inodes;
  }
}

function inodesHeldBy(pid: number): ReadonlySet<number> {
  const inodes = new Set<number>();
  for (const one of findTree(pid)) {
    try {
      for (const inode of socketsOf(one).keys()) inodes.add(inode);
    } catch {
      // It has ended, or belongs to another user.
    }
  }
  return inodes;
}
