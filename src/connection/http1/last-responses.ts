import type net from 'node:net';
import { type Replacement, replaceMethod } from '../../node/replace.ts';

/**
 * Connections whose last response said that it is the last before the close took them in. http may be done with such a
 * connection by then; its end waits until the close can linger on it.
 */
export class EarlyLastResponses {
  readonly #waiting = new Map<net.Socket, { readonly replaced: Replacement; isDone: boolean }>();
  #isPast = false;

  add(program: net.Socket): void {
    // After `release` it belongs to no close: its server listens again, or nothing lists it.
    if (this.#isPast || this.#waiting.has(program)) return;
    const replaced = replaceMethod(program, 'destroySoon', (original) => () => {
      if (this.#waiting.get(program) === entry) entry.isDone = true;
      else original(program, []);
    });
    const entry = { replaced, isDone: false };
    this.#waiting.set(program, entry);
  }

  /** Whether a connection that the close takes in had its last response, and whether http is done with it. */
  take(program: net.Socket): 'not yet' | 'last response' | 'done' {
    const entry = this.#waiting.get(program);
    this.#waiting.delete(program);
    entry?.replaced.undo();
    if (entry === undefined) return 'not yet';
    return entry.isDone ? 'done' : 'last response';
  }

  /** The close has taken in all of its connections. The others end as they would have without it. */
  release(): void {
    this.#isPast = true;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const [program, { replaced, isDone }] of waiting) {
      replaced.undo();
      if (isDone) endAsHttpDoes(program);
    }
  }
}

/** A server may speak to streams that are no sockets. */
function endAsHttpDoes(program: net.Socket): void {
  if (typeof program.destroySoon === 'function') program.destroySoon();
  else program.end();
}
