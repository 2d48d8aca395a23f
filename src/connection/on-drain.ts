import http from 'node:http';
import type { Close } from '../close/close.ts';
import type { DrainingConnection } from '../close/options.ts';
import { responseOn } from '../node/fields.ts';

/** Calls the `onDrain` option for one connection. */
export class OnDrainHook {
  readonly #close: Close;
  /** What it was called for last. */
  #calledFor: unknown;
  #running = 0;

  constructor(close: Close) {
    this.#close = close;
  }

  /** Whether a promise of the program's is not settled. */
  get isRunning(): boolean {
    return this.#running > 0;
  }

  /** Calls it once for each thing that the program can end; `onSettled` is called when the program has done what it can. */
  call(connection: Omit<DrainingConnection, 'response'>, onSettled: () => void): void {
    const { socket, protocol, session } = connection;
    const response = responseOn(socket);
    // HTTP/1.1: each response that is under way, and nothing between two. HTTP/2: the session, once there is one.
    const subject = protocol === 'http/1.1' ? response : protocol === 'h2' ? session : socket;
    if (subject === undefined || subject === this.#calledFor) return;
    this.#calledFor = subject;
    const isResponse = response instanceof http.ServerResponse;
    this.#running += 1;
    void this.#run({ ...connection, ...(isResponse && { response }) }).finally(() => {
      this.#running -= 1;
      onSettled();
    });
  }

  async #run(connection: DrainingConnection): Promise<void> {
    const { onDrain } = this.#close.options;
    try {
      await onDrain?.(connection, this.#close.clock.deadline);
    } catch (cause) {
      this.#close.noteThrown('onDrain', cause);
    }
  }
}
