import { Latencies, type LatencySummary } from './latencies.ts';
import type { CheckedStormOptions } from './options.ts';
import { noCounts, type Outcome, type StormCounts } from './outcome.ts';
import { seededRandom } from './seeded-random.ts';

const EXAMPLES_PER_OUTCOME = 5;

/** The numbers of a storm, to which its clients report. */
export class Tally {
  readonly options: CheckedStormOptions;
  readonly counts: StormCounts = noCounts();
  /** Resolves once every client has left and every socket is closed. */
  readonly ended: Promise<void>;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly #latencies = new Latencies();
  readonly #examples = new Map<Outcome, Set<string>>();
  readonly #waiting = new Set<{ count: number; resolve: () => void; reject: (reason: Error) => void }>();
  #state: 'storming' | 'ending' | 'ended' = 'storming';
  #requests = 0;
  #clients: number;
  #openSockets = 0;
  #connections = 0;
  #end: () => void = () => {};

  constructor(options: CheckedStormOptions) {
    this.options = options;
    this.random = seededRandom(options.seed);
    this.#clients = options.clients;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** How many handshakes completed. */
  get connections(): number {
    return this.#connections;
  }

  get latency(): LatencySummary {
    return this.#latencies.summary();
  }

  /** A few messages for each outcome. */
  get examples(): Readonly<Partial<Record<Outcome, readonly string[]>>> {
    return Object.fromEntries([...this.#examples].map(([outcome, messages]) => [outcome, [...messages]]));
  }

  /** Resolves once `count` requests were served; rejects if the storm ends before. */
  served(count: number): Promise<void> {
    if (this.counts.served >= count) return Promise.resolve();
    if (this.#state === 'ended') return Promise.reject(this.#tooFewServed(count));
    return new Promise((resolve, reject) => {
      this.#waiting.add({ count, resolve, reject });
    });
  }

  /** Allows no more requests. Returns false if that was so before. */
  stopRequests(): boolean {
    const wasStorming = this.#state === 'storming';
    if (wasStorming) this.#state = 'ending';
    return wasStorming;
  }

  /** Claims up to `most` requests for a client; returns how many it got. */
  claimRequests(most: number): number {
    if (this.#state !== 'storming') return 0;
    const claimed = Math.min(most, this.options.requests - this.#requests);
    this.#requests += claimed;
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
    this.#endIfEmpty();
  }

  clientLeft(): void {
    this.#clients -= 1;
    this.#endIfEmpty();
  }

  #endIfEmpty(): void {
    if (this.#clients > 0 || this.#openSockets > 0 || this.#state === 'ended') return;
    this.#state = 'ended';
    for (const { count, reject } of this.#waiting) reject(this.#tooFewServed(count));
    this.#waiting.clear();
    this.#end();
  }

  #tooFewServed(count: number): Error {
    return new Error(`The storm ended with ${this.counts.served} of ${count} requests served`);
  }
}
