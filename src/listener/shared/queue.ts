import { counted } from '../../counted.ts';
import { setImmediate as turn } from 'node:timers/promises';
import type { Close } from '../../close/close.ts';
import { duplicate, inodeOf } from '../../linux/descriptors.ts';
import { requireLibc } from '../../linux/libc.ts';
import { readUnixQueue } from '../../linux/tables/unix-diag.ts';
import { readAcceptQueue } from '../../linux/tcp-info.ts';
import { countQueued } from '../count-queues.ts';
import { isPassedBySupervisor } from '../listen-fds.ts';
import { drainQueues } from '../drain-queues.ts';
import type { Listener } from '../listener.ts';
import { isServedByOthers, type SharedSocket } from './served-by-others.ts';
import type { Sharing } from '../sharing.ts';

/**
 * The queue of a shared listener, which lives on with its other holders. A copy of the descriptor keeps it until everyone who is
 * left is counted.
 */
export class SharedQueue {
  readonly #listener: Listener;
  readonly #holders: Sharing['holders'];
  readonly #copy: SharedSocket | undefined;
  /** Clients in the queue that were never accepted, where there is no copy to count them. */
  #unaccepted = 0;

  constructor(listener: Listener, holders: Sharing['holders']) {
    this.#listener = listener;
    this.#holders = holders;
    this.#copy = copyOf(listener);
  }

  /**
   * Serves those who are in the queue now: the other holders may be about to close it, too. Where nobody else is known to serve it,
   * the queue may be ours alone, and is served as well as one can without a gate. Resolves with whether somebody else serves it.
   */
  async serveFirst(queued: number, close: Close): Promise<boolean> {
    if (await this.#isServed(close)) {
      await serveNext(this.#listener, queued, close);
      return true;
    }
    const atGate = { gate: 'none', queued, halfOpen: 0, countedAt: performance.now(), isOurs: false } as const;
    this.#unaccepted = (await drainQueues(this.#listener, atGate, close)).unaccepted;
    return false;
  }

  /** Leaves the queue, after our own descriptor is closed. Resolves with how many clients are left in it. */
  async leave(close: Close): Promise<number> {
    try {
      const left = this.#countLeft();
      if (left > 0 && !(await this.#isServed(close)))
        close.noteDoubt(
          `${counted(left, 'client')} stayed in the queue of ${this.#listener.name}, which no other process is known to serve`,
        );
      return left;
    } finally {
      if (this.#copy !== undefined) requireLibc().close(this.#copy.fd);
    }
  }

  async #isServed({ clock }: Close): Promise<boolean> {
    // Without a descriptor it is the primary's, which hands the clients out.
    const socket = this.#copy ?? socketOf(this.#listener);
    return socket === undefined ? this.#holders === 'the cluster' : isServedByOthers(socket, this.#holders, clock);
  }

  #countLeft(): number {
    if (this.#copy === undefined) return this.#unaccepted;
    const { fd, address } = this.#copy;
    try {
      return address?.family === 'Unix' ? readUnixQueue(inodeOf(fd)) : readAcceptQueue(fd).queued;
    } catch {
      return this.#unaccepted;
    }
  }
}

/** Undefined without a descriptor, or if this process may open no more. */
function copyOf(listener: Listener): SharedSocket | undefined {
  const socket = socketOf(listener);
  try {
    return socket === undefined ? undefined : { ...socket, fd: duplicate(socket.fd) };
  } catch {
    return undefined;
  }
}

function socketOf(listener: Listener): SharedSocket | undefined {
  const fd = listener.descriptor();
  return fd === undefined ? undefined : { fd, address: listener.address, isPassed: isPassedBySupervisor(fd) };
}

/** The loop accepts one client a turn. */
async function serveNext(listener: Listener, clients: number, close: Close): Promise<void> {
  const { deadline } = close.clock;
  for (let client = 0; client < clients && !deadline.aborted && (countQueued(listener) ?? 0) > 0; client++)
    await turn();
}
