import type net from 'node:net';
import type { EndingConnection } from './ending.ts';

// How often to look for connections that have something to do, at the least and at the most, in milliseconds.
const LOOK_AT_LEAST = 100;
const LOOK_AT_MOST = 10;

// How long to look at connections before the rest of the program gets a turn: with ten thousand there is a lot to do.
const LOOK_FOR = 10;

/** The rounds in which a close looks at its connections: at each as often as it wants it. */
export class Rounds {
  readonly #endings: ReadonlyMap<net.Socket, EndingConnection>;
  readonly #prepare: () => void;
  readonly #onError: (cause: unknown) => void;
  /** Those on which the program's code has thrown: it may do so at every look. */
  readonly #throwing = new WeakSet<EndingConnection>();
  readonly #over: AbortSignal;
  #timer: NodeJS.Timeout | undefined;
  /** The rest of a round that takes long. */
  #rest: NodeJS.Immediate | undefined;

  /**
   * `prepare` is called at the beginning of each round; `over` ends them. `onError` hears once for a connection what the
   * program's code on it throws, where it has put its own in the place of Node's methods.
   */
  constructor(
    endings: ReadonlyMap<net.Socket, EndingConnection>,
    prepare: () => void,
    onError: (cause: unknown) => void,
    over: AbortSignal,
  ) {
    this.#endings = endings;
    this.#prepare = prepare;
    this.#onError = onError;
    this.#over = over;
    over.addEventListener('abort', () => this.#stop());
  }

  /** Looks at the connections that want it, and plans the next round. */
  begin(): void {
    this.#stop();
    this.#prepare();
    this.#goOn(this.#endings.values(), Number.POSITIVE_INFINITY);
  }

  /** Plans a round, unless one is planned or under way. */
  lookAgainIn(milliseconds: number): void {
    const isPlanned = this.#timer !== undefined || this.#rest !== undefined;
    if (isPlanned || this.#over.aborted) return;
    this.#timer = setTimeout(() => this.begin(), Math.min(LOOK_AT_LEAST, Math.max(LOOK_AT_MOST, milliseconds)));
  }

  /** Looks at those that are left of a round; `soonest` is when the first of the others wants it again. */
  #goOn(left: MapIterator<EndingConnection>, soonest: number): void {
    const until = performance.now() + LOOK_FOR;
    let next = soonest;
    for (let { value: ending } = left.next(); ending !== undefined; { value: ending } = left.next()) {
      const now = performance.now();
      if (ending.due <= now) ending.due = now + this.#lookAt(ending);
      next = Math.min(next, ending.due);
      if (now > until) {
        this.#rest = setImmediate(() => this.#goOn(left, next));
        return;
      }
    }
    this.#rest = undefined;
    if (next !== Number.POSITIVE_INFINITY) this.lookAgainIn(next - performance.now());
  }

  #lookAt(ending: EndingConnection): number {
    try {
      return ending.look();
    } catch (cause) {
      if (!this.#throwing.has(ending)) this.#onError(cause);
      this.#throwing.add(ending);
      return LOOK_AT_LEAST;
    }
  }

  #stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#rest);
    this.#timer = undefined;
    this.#rest = undefined;
  }
}
