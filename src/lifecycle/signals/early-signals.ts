import { markOurs } from './ours.ts';

/**
 * Holds signals back from the call of `listen` until the service exists. The kernel lets clients in some ms before that, and a
 * signal without a listener would end the process and reset them. Node delivers a signal at the next turn of its loop, to the
 * listeners of that moment.
 */
export class EarlySignals {
  #names: readonly NodeJS.Signals[] = [];

  hold(names: readonly NodeJS.Signals[]): void {
    if (this.#names.length > 0) return;
    this.#names = names;
    for (const name of names) process.prependListener(name, this.#onSignal);
  }

  /** The service has its own listeners now, or nothing listens after all. */
  release(): void {
    for (const name of this.#names) process.off(name, this.#onSignal);
    this.#names = [];
  }

  // The signal came before anything listens (the lookup of a host's name takes a while). It has the effect it would have
  // without lastcall.
  readonly #onSignal = markOurs((name: NodeJS.Signals): void => {
    this.release();
    if (process.listenerCount(name) === 0) process.kill(process.pid, name);
  });
}
