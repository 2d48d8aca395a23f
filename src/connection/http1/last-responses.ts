import type net from 'node:net';

/**
 * Connections whose last response said so before a close has taken them in: http may be done with one by then, and its end
 * is to wait until somebody can linger on it.
 */
export class ToldBefore {
  readonly #waiting = new Map<net.Socket, { readonly own: PropertyDescriptor | undefined; isOver: boolean }>();
  #isPast = false;

  note(program: net.Socket): void {
    // Not this close's: its server has listened anew, or it is where nobody finds it.
    if (this.#isPast || this.#waiting.has(program)) return;
    const noted = { own: Object.getOwnPropertyDescriptor(program, 'destroySoon'), isOver: false };
    this.#waiting.set(program, noted);
    program.destroySoon = () => {
      noted.isOver = true;
    };
  }

  /** Of one that is taken in: whether it was told, and whether http is done with it. Its `destroySoon` is the caller's. */
  take(program: net.Socket): 'not told' | 'told' | 'over' {
    const noted = this.#waiting.get(program);
    this.#waiting.delete(program);
    if (noted === undefined) return 'not told';
    return noted.isOver ? 'over' : 'told';
  }

  /** All that the close takes in is taken in: the others end as they would have. */
  giveBack(): void {
    this.#isPast = true;
    for (const [program, { own, isOver }] of this.#waiting) {
      if (own === undefined) Reflect.deleteProperty(program, 'destroySoon');
      else Object.defineProperty(program, 'destroySoon', own);
      if (isOver) endAsHttpDoes(program);
    }
    this.#waiting.clear();
  }
}

/** A server may speak to streams that are no sockets. */
function endAsHttpDoes(program: net.Socket): void {
  if (typeof program.destroySoon === 'function') program.destroySoon();
  else program.end();
}
