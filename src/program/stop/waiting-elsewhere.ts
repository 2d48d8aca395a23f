import { readFileSync } from 'node:fs';
import { TCP_CLOSE_WAIT, TCP_ESTABLISHED } from '../../linux/constants.ts';
import { socketsOf } from '../../linux/process/processes.ts';
import { dumpConnections } from '../../linux/tables/inet-diag.ts';
import { isNode } from '../find/command-line.ts';
import type { HeldListener } from '../find/find-listeners.ts';
import { OWN, queuesIn } from '../find/namespace.ts';
import { findTree } from '../find/process-tree.ts';
import { endsOf, type Exchange, readTraffic } from '../gate/traffic.ts';
import { LostAnswers } from './lost-answers.ts';

const OPEN = (1 << TCP_ESTABLISHED) | (1 << TCP_CLOSE_WAIT);

/**
 * The clients of a program that stops itself who wait at a process of it that does not: one that is not of Node has no
 * lastcall/register, and neither has a child of Node that `spawn` has started without it.
 */
export class WaitingElsewhere {
  readonly #root: number;
  readonly #listeners = new Map<number, HeldListener>();
  readonly #lostAnswers = new LostAnswers();
  /** Connections by which the program asks its own processes. */
  readonly #inside = new Set<string>();
  #seen: ReadonlySet<number> = new Set();

  constructor(root: number) {
    this.#root = root;
  }

  /** Comes when the listeners have just been found: their processes still run. */
  find(found: readonly HeldListener[]): void {
    for (const held of found) {
      const { holders, socket } = held;
      if (holders.length > 0 && holders.every(({ pid }) => !hasLastcall(pid))) this.#listeners.set(socket.inode, held);
    }
  }

  /** Whether a listener has come to this host since the last call: it may be the program's. */
  hasNewListener(): boolean {
    const now = new Set(queuesIn(OWN).keys());
    const isNew = [...now].some((inode) => !this.#seen.has(inode));
    this.#seen = now;
    return isNew;
  }

  has({ socket }: HeldListener): boolean {
    return this.#listeners.has(socket.inode);
  }

  /** Compares the clients with those of the last look. */
  compare(hasProcessEnded: boolean): void {
    if (this.#listeners.size === 0) return;
    const listeners = [...this.#listeners.values()];
    const traffic = readTraffic(listeners);
    const unanswered = this.#fromOutside(traffic.unanswered);
    // Whether words or answer came last is not waited for here: such a client is no doubt.
    this.#lostAnswers.add({ ...traffic, unanswered, unclear: new Map() }, { listeners, hasProcessEnded });
  }

  /** What the program asks its own processes ends with it. */
  #fromOutside(unanswered: ReadonlyMap<string, Exchange>): ReadonlyMap<string, Exchange> {
    if ([...unanswered.keys()].some((ends) => !this.#inside.has(ends)))
      for (const ends of connectionsWithin(this.#root)) this.#inside.add(ends);
    return new Map([...unanswered].filter(([ends]) => !this.#inside.has(ends)));
  }

  /** A sentence for each kind. */
  doubts(): readonly string[] {
    const names = [...this.#listeners.values()].map(({ name }) => name).join(', ');
    return this.#lostAnswers
      .doubts()
      .map((doubt) => `${doubt}; lastcall/register is not in the process that serves ${names}`);
  }
}

/** Whether lastcall is in a process: it has loaded its native module when the first server listened. */
function hasLastcall(pid: number): boolean {
  if (!isNode(pid)) return false;
  try {
    return /\/koffi[^/\n]*\.node$/m.test(readFileSync(`/proc/${pid}/maps`, 'latin1'));
  } catch {
    // It has ended, or cannot be inspected.
    return true;
  }
}

/** The connections whose client is a process of this program, by their ends as a server sees them. */
function connectionsWithin(root: number): readonly string[] {
  const own = new Set([...findTree(root)].flatMap(inodesOf));
  try {
    return dumpConnections(OPEN)
      .filter(({ inode }) => own.has(inode))
      .map(({ localAddress, localPort, remoteAddress, remotePort }) =>
        endsOf({
          localAddress: remoteAddress,
          localPort: remotePort,
          remoteAddress: localAddress,
          remotePort: localPort,
        }),
      );
  } catch {
    return [];
  }
}

function inodesOf(pid: number): readonly number[] {
  try {
    return [...socketsOf(pid).keys()];
  } catch {
    return [];
  }
}
