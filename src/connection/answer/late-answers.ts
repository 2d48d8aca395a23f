import type net from 'node:net';
import { Readable } from 'node:stream';

/** What a program means to say on a connection after our FIN. It must not die of it. */
export class LateAnswers {
  readonly #onLate: () => void;
  /** What was piped into the connection until then, and how much of it waited. Node only unpipes it, which nobody hears of. */
  readonly #unpiped = new Map<Readable, number>();

  /** Call it before our FIN. `onLate` is called for each answer. */
  constructor(program: net.Socket, onLate: () => void) {
    this.#onLate = onLate;
    program.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ERR_STREAM_WRITE_AFTER_END') onLate();
    });
    // Where it is the program that has ended it there is nothing more to come.
    if (program.writableEnded) return;
    program.on('unpipe', (source: unknown) => {
      if (source instanceof Readable && !source.readableEnded) this.#unpiped.set(source, source.readableLength);
    });
  }

  /** The connection is over. What has come meanwhile from what was piped into it is a late answer. */
  noteEnd(): void {
    for (const [source, before] of this.#unpiped) if (source.readableLength > before) this.#onLate();
    this.#unpiped.clear();
  }
}
