import { isNode } from '../find/command-line.ts';
import type { HeldListener } from '../find/find-listeners.ts';
import { readTraffic } from '../gate/traffic.ts';
import { LostAnswers } from './lost-answers.ts';

/**
 * The clients of a program that stops itself who wait at a process of it that does not: one that is not of Node has no
 * lastcall/register.
 */
export class WaitingElsewhere {
  readonly #listeners = new Map<number, HeldListener>();
  readonly #lostAnswers = new LostAnswers();

  /** Comes when the listeners have just been found: their processes still run. */
  find(found: readonly HeldListener[]): void {
    for (const held of found) {
      const { holders, socket } = held;
      if (holders.length > 0 && holders.every(({ pid }) => !isNode(pid))) this.#listeners.set(socket.inode, held);
    }
  }

  has({ socket }: HeldListener): boolean {
    return this.#listeners.has(socket.inode);
  }

  /** Compares the clients with those of the last look. */
  compare(hasProcessEnded: boolean): void {
    if (this.#listeners.size === 0) return;
    const listeners = [...this.#listeners.values()];
    this.#lostAnswers.add(readTraffic(listeners), { listeners, hasProcessEnded });
  }

  /** A sentence for each kind. */
  doubts(): readonly string[] {
    const names = [...this.#listeners.values()].map(({ name }) => name).join(', ');
    return this.#lostAnswers
      .doubts()
      .map((doubt) => `${doubt}; lastcall/register is not in the process that serves ${names}`);
  }
}
