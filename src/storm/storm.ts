import { Client, type ClientHost } from './client.ts';
import { Latencies, type LatencySummary } from './latencies.ts';
import { type CheckedStormOptions, checkStormOptions, type StormOptions } from './options.ts';
import { countLost, noCounts, type Outcome, type StormCounts } from './outcome.ts';
import { seededRandom } from './seeded-random.ts';

export type { StormOptions } from './options.ts';
export type { StormCounts } from './outcome.ts';

/** A load of real connections that says what each client saw. */
export interface Storm {
  /** Live. */
  readonly counts: Readonly<StormCounts>;
  /** Resolves once every client has left and every socket is closed. Never rejects. */
  readonly finished: Promise<StormResult>;
  /** Begins no new request; those under way are finished and counted. */
  stop(): void;
  /** Resolves once `count` requests were served; rejects if the storm ends before. */
  served(count: number): Promise<void>;
}

export interface StormResult {
  readonly counts: Readonly<StormCounts>;
  /** Clients that the server let down: all but `served`, `refused`, `unprocessed`, `idleClosed`, `failed` and `aborted`. */
  readonly lost: number;
  /** From the start until the last socket was closed, in ms. */
  readonly duration: number;
  /** Of the served requests, the handshake of a fresh connection included. */
  readonly latency: LatencySummary;
  /** Connections whose handshake completed. */
  readonly connections: number;
  /** A few messages for each way to end badly. */
  readonly errors: Readonly<Partial<Record<Outcome, readonly string[]>>>;
}

const PROGRESS_MILLISECONDS = 100;
const EXAMPLES_PER_OUTCOME = 5;

/**
 * Starts a storm at once. It ends by itself: no request is begun after `duration` ms, none is waited for longer than
 * `timeout` ms. Throws a `LastCallError` with code `ERR_OPTION` for a wrong option.
 *
 * @example
 * ```ts
 * const storm = runStorm({ target: { host: '127.0.0.1', port: 8080 }, clients: 300 });
 * await storm.served(1_000);
 * process.kill(pid, 'SIGTERM');
 * const { lost } = await storm.finished;
 * ```
 */
export function runStorm(options: StormOptions): Storm {
  const storm = new RunningStorm(checkStormOptions(options));
  storm.start();
  return storm;
}

class RunningStorm implements Storm, ClientHost {
  readonly options: CheckedStormOptions;
  readonly counts: StormCounts = noCounts();
  readonly finished: Promise<StormResult>;
  readonly random: () => number;
  #finish: (result: StormResult) => void = () => {};
  readonly #clients: Client[] = [];
  readonly #latencies = new Latencies();
  readonly #examples = new Map<Outcome, Set<string>>();
  readonly #waiting = new Set<{ count: number; resolve: () => void; reject: (reason: Error) => void }>();
  readonly #startedAt = performance.now();
  #state: 'storming' | 'ending' | 'over' = 'storming';
  #begun = 0;
  #present = 0;
  #openSockets = 0;
  #connections = 0;
  #durationTimer: NodeJS.Timeout | undefined;
  #progressTimer: NodeJS.Timeout | undefined;

  constructor(options: CheckedStormOptions) {
    this.options = options;
    this.random = seededRandom(options.seed);
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  start(): void {
    const { clients, duration, localAddresses, onProgress, signal } = this.options;
    this.#durationTimer = setTimeout(() => this.stop(), duration);
    if (onProgress) {
      this.#progressTimer = setInterval(() => onProgress(this.counts, this.#elapsed()), PROGRESS_MILLISECONDS);
    }
    signal?.addEventListener('abort', this.#abort);
    for (let index = 0; index < clients; index += 1) {
      this.#clients.push(new Client(this, localAddresses[index % localAddresses.length]));
    }
    this.#present = clients;
    for (const client of this.#clients) client.ask();
    if (signal?.aborted) this.#abort();
  }

  stop(): void {
    if (this.#state !== 'storming') return;
    this.#state = 'ending';
    for (const client of this.#clients) client.stop();
  }

  served(count: number): Promise<void> {
    if (this.counts.served >= count) return Promise.resolve();
    if (this.#state === 'over') return Promise.reject(this.#tooFewServed(count));
    return new Promise((resolve, reject) => {
      this.#waiting.add({ count, resolve, reject });
    });
  }

  claimRequests(most: number): number {
    if (this.#state !== 'storming') return 0;
    const claimed = Math.min(most, this.options.requests - this.#begun);
    this.#begun += claimed;
    return claimed;
  }

  note(outcome: Outcome, message: string, requests: number): void {
    this.counts[outcome] += requests;
    const examples = this.#examples.get(outcome) ?? new Set();
    if (examples.size < EXAMPLES_PER_OUTCOME) this.#examples.set(outcome, examples.add(message));
  }

  noteServed(latency: number, status: number): void {
    this.counts.served += 1;
    if (status >= 500) this.counts.serverErrors += 1;
    this.#latencies.add(latency);
    for (const waiter of this.#waiting) {
      if (this.counts.served < waiter.count) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
  }

  connectionOpening(): void {
    this.#openSockets += 1;
  }

  connectionEstablished(): void {
    this.#connections += 1;
  }

  connectionClosed(): void {
    this.#openSockets -= 1;
    this.#finishIfOver();
  }

  clientLeft(): void {
    this.#present -= 1;
    this.#finishIfOver();
  }

  readonly #abort = (): void => {
    this.#state = 'ending';
    for (const client of this.#clients) client.abort();
  };

  #finishIfOver(): void {
    if (this.#present > 0 || this.#openSockets > 0 || this.#state === 'over') return;
    this.#state = 'over';
    clearTimeout(this.#durationTimer);
    clearInterval(this.#progressTimer);
    this.options.signal?.removeEventListener('abort', this.#abort);
    for (const { count, reject } of this.#waiting) reject(this.#tooFewServed(count));
    this.#waiting.clear();
    this.#finish({
      counts: { ...this.counts },
      lost: countLost(this.counts),
      duration: this.#elapsed(),
      latency: this.#latencies.summary(),
      connections: this.#connections,
      errors: Object.fromEntries([...this.#examples].map(([outcome, messages]) => [outcome, [...messages]])),
    });
  }

  #elapsed(): number {
    return performance.now() - this.#startedAt;
  }

  #tooFewServed(count: number): Error {
    return new Error(`The storm ended with ${this.counts.served} of ${count} requests served`);
  }
}
