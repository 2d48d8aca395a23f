import { isMainThread } from 'node:worker_threads';
import type { CloseProgress } from '../../close/report.ts';
import { isClusterWorker } from '../../listener/origin.ts';
import type { Budget } from '../budget.ts';
import { type Notifier, openNotifier } from './sd-notify.ts';

/** How often systemd gets the progress of a stop, and the time that it needs; in ms. */
const NOTIFY_EVERY = 1_000;

/** One for all services of this process: opening it takes the variables away. */
let shared: { readonly notifier: Notifier | undefined; users: number } | undefined;

/** Reports the state of a service to systemd, if systemd runs it. */
export class Supervisor {
  readonly #notifier: Notifier | undefined;
  #hasEnded = false;
  #isReady = false;
  #timer: NodeJS.Timeout | undefined;
  #progress: CloseProgress | undefined;

  constructor() {
    // Workers and threads are not the service's main process.
    shared ??= { notifier: isMainThread && !isClusterWorker() ? openNotifier() : undefined, users: 0 };
    shared.users += 1;
    this.#notifier = shared.notifier;
  }

  ready(): void {
    if (!this.#isReady) this.#notifier?.ready('ready');
    this.#isReady = true;
  }

  /** From now on the progress is sent, until the end. */
  stopping(reason: string, budget: Budget): void {
    const notifier = this.#notifier;
    if (notifier === undefined) return;
    notifier.stopping(`stopping: ${reason}`, budget.left);
    const status = (): string => (this.#progress === undefined ? 'not ready, still serving' : describe(this.#progress));
    this.#timer = setInterval(() => notifier.progress(status(), budget.left), NOTIFY_EVERY).unref();
  }

  noteProgress(progress: CloseProgress): void {
    this.#progress = progress;
  }

  end(): void {
    clearInterval(this.#timer);
    if (this.#hasEnded || shared === undefined) return;
    this.#hasEnded = true;
    shared.users -= 1;
    // The watchdog gets its messages as long as one service is left.
    if (shared.users > 0) return;
    this.#notifier?.close();
    shared = undefined;
  }
}

function describe({ phase, queued, halfOpen, open, ended }: CloseProgress): string {
  return `${phase}: ${queued} queued, ${halfOpen} half-open, ${open} connections open, ${ended} ended`;
}
