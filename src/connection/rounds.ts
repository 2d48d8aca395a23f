import type net from 'node:net';
import type { Close } from '../close/close.ts';
import type { ClosingConnection } from './closing-connection.ts';
import { Pace } from '../pace.ts';
import { LONGEST_PAUSE, SHORTEST_PAUSE } from './protocol-end.ts';

// How long to look at connections before the rest of the program gets a turn, in ms: ten thousand take long.
const LOOK_FOR = 10;

/** The rounds in which a close looks at its connections: at each when it is due. */
export class Rounds {
  readonly #connections: ReadonlyMap<net.Socket, ClosingConnection>;
  readonly #prepare: () => void;
  readonly #close: Close;
  /** Connections on which the program's code has thrown: it may do so at every look, and is reported once. */
  readonly #throwing = new WeakSet<ClosingConnection>();
  /** Looks that find nothing to do: ten thousand busy connections are not looked at ten times a second. */
  readonly #pace = new Pace();
  #timer: NodeJS.Timeout | undefined;
  /** The rest of a round that takes long. */
  #rest: NodeJS.Immediate | undefined;

  /** `prepare` is called at the beginning of each round. The rounds end with the close. */
  constructor(connections: ReadonlyMap<net.Socket, ClosingConnection>, prepare: () => void, close: Close) {
    this.#connections = connections;
    this.#prepare = prepare;
    this.#close = close;
    close.clock.over.addEventListener('abort', () => this.#stop());
  }

  /** Looks at the connections that are due, and plans the next round. */
  begin(): void {
    this.#stop();
    this.#prepare();
    this.#goOn(this.#connections.values(), Number.POSITIVE_INFINITY);
  }

  /** Plans a round, unless one is planned or under way. */
  lookAgainIn(milliseconds: number): void {
    const isPlanned = this.#timer !== undefined || this.#rest !== undefined;
    if (isPlanned || this.#close.clock.over.aborted) return;
    const pause = Math.min(LONGEST_PAUSE, Math.max(SHORTEST_PAUSE, milliseconds));
    this.#timer = setTimeout(() => this.begin(), Math.max(pause, this.#pace.wait));
  }

  /** Looks at the connections that are left of a round; `soonest` is when the first of the others is due. */
  #goOn(left: MapIterator<ClosingConnection>, soonest: number): void {
    const until = performance.now() + LOOK_FOR;
    const used = process.cpuUsage();
    let next = soonest;
    let asked = 0;
    for (let { value: connection } = left.next(); connection !== undefined; { value: connection } = left.next()) {
      const now = performance.now();
      if (connection.due <= now) {
        const { isLingering, farewell } = connection;
        const { isToSay } = farewell;
        const pause = this.#lookAt(connection);
        connection.due = now + pause;
        const isUnchanged = connection.isLingering === isLingering && farewell.isToSay === isToSay;
        if (pause === LONGEST_PAUSE && isUnchanged) asked += performance.now() - now;
      }
      next = Math.min(next, connection.due);
      if (now > until) {
        this.#noteAsked(asked, used);
        this.#rest = setImmediate(() => this.#goOn(left, next));
        return;
      }
    }
    this.#noteAsked(asked, used);
    this.#rest = undefined;
    if (next !== Number.POSITIVE_INFINITY) this.lookAgainIn(next - performance.now());
  }

  /** On a busy machine the processor may have been with others meanwhile. */
  #noteAsked(asked: number, since: NodeJS.CpuUsage): void {
    const { user, system } = process.cpuUsage(since);
    this.#pace.note(Math.min(asked, (user + system) / 1_000));
  }

  #lookAt(connection: ClosingConnection): number {
    try {
      return connection.look();
    } catch (cause) {
      // The program's code, where it stands in the place of Node's methods.
      if (!this.#throwing.has(connection)) this.#close.noteThrown('a method of a connection', cause);
      this.#throwing.add(connection);
      return LONGEST_PAUSE;
    }
  }

  #stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#rest);
    this.#timer = undefined;
    this.#rest = undefined;
  }
}
