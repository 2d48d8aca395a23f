/**
 * Holds signals back from the call of `listen` on until the service is there: the kernel lets clients in some milliseconds before
 * that, and a signal without a listener would end the process, and reset them. Node hands a signal over at the next turn of its
 * loop, to whoever listens by then.
 */
export class EarlySignals {
  #names: readonly NodeJS.Signals[] = [];

  hold(names: readonly NodeJS.Signals[]): void {
    if (this.#names.length > 0) return;
    this.#names = names;
    for (const name of names) process.prependListener(name, this.#onSignal);
  }

  /** The service listens by now, or nobody listens after all. */
  release(): void {
    for (const name of this.#names) process.off(name, this.#onSignal);
    this.#names = [];
  }

  // It came before anything listens (a host's name takes a while to look up): what would have happened without us happens.
  readonly #onSignal = (name: NodeJS.Signals): void => {
    this.release();
    if (process.listenerCount(name) === 0) process.kill(process.pid, name);
  };
}
