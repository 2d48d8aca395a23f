import type net from 'node:net';
import type { Budget } from '../budget.ts';
import type { ClusterPrimary } from '../cluster/primary.ts';
import type { ClusterWorker } from '../cluster/worker.ts';
import type { Hooks } from '../hooks.ts';
import type { CompleteLastCallOptions } from '../options/options.ts';
import { LameDuck } from './lame-duck.ts';

/** The first step of a stop: all that the service waits for before its gate shuts. */
export class LameDuckStep {
  readonly #options: CompleteLastCallOptions;
  readonly #hooks: Hooks;
  readonly #primary: ClusterPrimary | undefined;
  readonly #worker: ClusterWorker | undefined;
  #lameDuck: LameDuck | undefined;

  constructor(
    options: CompleteLastCallOptions,
    hooks: Hooks,
    primary: ClusterPrimary | undefined,
    worker: ClusterWorker | undefined,
  ) {
    this.#options = options;
    this.#hooks = hooks;
    this.#primary = primary;
    this.#worker = worker;
  }

  /** Whether there is anything to wait for before the gate shuts. Otherwise it shuts in this turn of the loop. */
  isDue(budget: Budget): boolean {
    const { lameDuck, onLameDuck } = this.#options;
    const hasCluster = this.#primary?.isListening === true || this.#worker?.mustAsk === true;
    return !budget.skipLameDuck.aborted && (lameDuck > 0 || onLameDuck !== undefined || hasCluster);
  }

  /** No longer ready, but still serving every client. */
  async serveOn(servers: readonly net.Server[], reason: string, budget: Budget): Promise<void> {
    this.#lameDuck = new LameDuck(servers, budget.ended);
    const lameDuck = this.#lameDuck.serveOn(this.#options, budget);
    await this.#hooks.onLameDuck(reason, budget);
    await lameDuck;
    await this.#primary?.allAsk(budget);
    await this.#worker?.mayClose(budget);
  }

  /** Another server has begun to listen. */
  add(server: net.Server): void {
    this.#lameDuck?.add(server);
  }
}
