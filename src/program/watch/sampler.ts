import { socketsOf } from '../../linux/process/processes.ts';
import type { ListeningSocket } from '../../linux/tables/inet-diag.ts';
import type { TcpCounters } from '../../linux/tables/tcp-counters.ts';
import { type CountedEnd, countConnections, type EndCounts } from './count-connections.ts';
import { TargetError } from '../find/find-target.ts';
import { type Namespace, namespaceOf, OWN } from '../find/namespace.ts';
import { findTree } from '../find/process-tree.ts';
import { readStat } from '../../linux/process/processes.ts';
import { type ListenerSample, sampleListeners } from './sample-listeners.ts';

/** Whose listeners are watched: those of a program, those at a port or a Unix path, or all TCP listeners. */
export type WatchTarget =
  | { readonly kind: 'program'; readonly pid: number }
  | { readonly kind: 'port'; readonly port: number }
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'all' };

/** What was seen at one moment. */
export interface WatchSample {
  /** ms since 1970. */
  readonly time: number;
  readonly listeners: readonly ListenerSample[];
  /** Of the network namespace, over all its listeners; undefined where it cannot be told. */
  readonly counters: TcpCounters | undefined;
  /** Their growth since the sample before, per second; undefined in the first. */
  readonly rates: TcpCounters | undefined;
  /** How old the counts of connections are, half-open ones among them; in milliseconds. */
  readonly connectionsAge: number;
}

/**
 * Connections are counted anew only after so many times as long as it took: the kernel walks all of them for it, which takes 20 ms
 * of CPU time with 10,000. So it is a hundredth of a core at the most.
 */
const COUNTING_SHARE = 100;

/** `12345`, `:8080`, `/run/app.sock`, `@abstract`, or nothing for all. Throws a `TargetError` for anything else. */
export function readWatchTarget(text: string | undefined): WatchTarget {
  if (text === undefined) return { kind: 'all' };
  if (/^\d{1,10}$/.test(text)) return { kind: 'program', pid: Number(text) };
  const port = Number(text.slice(1));
  if (/^:\d{1,5}$/.test(text) && port <= 65_535) return { kind: 'port', port };
  const path = text.replace(/^unix:/, '').replace(/^@/, '\0');
  if (path.startsWith('/') || path.startsWith('\0')) return { kind: 'path', path };
  throw new TargetError(
    'malformed',
    `Expected a process (12345), a port (:8080) or a Unix path (/run/app.sock), got \`${text}\``,
  );
}

/** Looks at listeners again and again, and tells what has happened between two looks. Nothing is changed by it. */
export class Watcher {
  readonly #target: WatchTarget;
  readonly #namespace: Namespace;
  #before: { readonly at: number; readonly counters: TcpCounters } | undefined;
  #counted: { readonly at: number; readonly cost: number; readonly counts: ReadonlyMap<string, EndCounts> } | undefined;
  #held: { readonly table: string; readonly inodes: ReadonlySet<number> } | undefined;

  /** Throws a `TargetError`: no such process, or one that this user may not look into. */
  constructor(target: WatchTarget) {
    this.#target = target;
    this.#namespace = target.kind === 'program' ? namespaceOf(target.pid) : OWN;
    if (target.kind !== 'program') return;
    if (!this.isThere()) throw new TargetError('not found', `There is no process ${target.pid}`);
    try {
      socketsOf(target.pid);
    } catch {
      throw new TargetError(
        'hidden',
        `Process ${target.pid} cannot be looked into by this user: name its port instead`,
      );
    }
  }

  /** False once the process that is watched has ended; a port is watched whoever listens there, or nobody. */
  isThere(): boolean {
    if (this.#target.kind !== 'program') return true;
    const state = readStat(this.#target.pid)?.state;
    return state !== undefined && state !== 'Z' && state !== 'X';
  }

  look(): WatchSample {
    const at = performance.now();
    const counters = this.#count();
    const rates = counters === undefined ? undefined : this.#ratesAt(at, counters);
    if (counters !== undefined) this.#before = { at, counters };
    const listeners = this.#sample();
    const connectionsAge = this.#counted === undefined ? 0 : Math.max(0, Math.round(at - this.#counted.at));
    return { time: Date.now(), listeners, counters, rates, connectionsAge };
  }

  readonly #countConnections = (namespace: Namespace, ends: readonly CountedEnd[]): ReadonlyMap<string, EndCounts> => {
    const at = performance.now();
    const before = this.#counted;
    const isFresh = before !== undefined && at - before.at < before.cost * COUNTING_SHARE;
    if (isFresh && ends.every(({ name }) => before.counts.has(name))) return before.counts;
    const used = process.cpuUsage();
    const counts = countConnections(namespace, ends);
    const { user, system } = process.cpuUsage(used);
    this.#counted = { at, cost: (user + system) / 1_000, counts };
    return counts;
  };

  #count(): TcpCounters | undefined {
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

  #sample(): readonly ListenerSample[] {
    const target = this.#target;
    if (target.kind !== 'program')
      return sampleListeners(this.#namespace, (socket) => isNamed(socket, target), this.#countConnections);
    const inodes = this.#inodesOf(target.pid);
    return sampleListeners(this.#namespace, ({ inode }) => inodes.has(inode), this.#countConnections);
  }

  /** Whose listeners they are is looked up again only when there are others than before: it takes the longest. */
  #inodesOf(pid: number): ReadonlySet<number> {
    const table = this.#namespace
      .listeners()
      .map(({ inode }) => inode)
      .join(' ');
    if (this.#held?.table !== table) this.#held = { table, inodes: inodesHeldBy(pid) };
    return this.#held.inodes;
  }
}

function isNamed({ address }: ListeningSocket, target: Exclude<WatchTarget, { readonly kind: 'program' }>): boolean {
  if (address.family === 'Unix') return target.kind === 'path' && address.path === target.path;
  return target.kind === 'all' || (target.kind === 'port' && address.port === target.port);
}

function inodesHeldBy(pid: number): ReadonlySet<number> {
  const inodes = new Set<number>();
  for (const one of findTree(pid)) {
    try {
      for (const inode of socketsOf(one).keys()) inodes.add(inode);
    } catch {
      // It has ended, or belongs to another user: what it holds alone is not seen.
    }
  }
  return inodes;
}
