import type { ClientRequest } from './request.ts';

// How many empty places to leave at the front before the others move up.
const MOST_EMPTY = 32;

/** Requests that wait for a connection, in order. */
export class RequestQueue {
  #requests: (ClientRequest | undefined)[] = [];
  /** The place of the first request. The others do not move up for each that leaves: that would cost more the more requests wait. */
  #first = 0;

  get isEmpty(): boolean {
    return this.#first === this.#requests.length;
  }

  push(request: ClientRequest): void {
    this.#requests.push(request);
  }

  /** Adds requests that were sent once. They go before those that never were. */
  putBack(requests: readonly ClientRequest[]): void {
    if (requests.length === 0) return;
    this.#requests = [...requests, ...this.#requests.slice(this.#first)];
    this.#first = 0;
  }

  /** Takes the next request that is not settled. */
  take(): ClientRequest | undefined {
    if (!this.hasNext()) return undefined;
    const request = this.#requests[this.#first];
    this.#dropFirst();
    return request;
  }

  /** Whether a request waits that is not settled. Drops the settled ones before it. */
  hasNext(): boolean {
    while (!this.isEmpty && this.#requests[this.#first]?.isSettled === true) this.#dropFirst();
    return !this.isEmpty;
  }

  /** Since when the request that has waited longest waits. */
  get waitingSince(): number {
    return this.#waiting().reduce((least, { waitsSince }) => Math.min(least, waitsSince), Number.POSITIVE_INFINITY);
  }

  takeAll(): readonly ClientRequest[] {
    return this.takeWaitingSince(Number.POSITIVE_INFINITY);
  }

  /** Takes the requests that have waited since `time` or longer. */
  takeWaitingSince(time: number): readonly ClientRequest[] {
    const all = this.#waiting();
    this.#first = 0;
    this.#requests = all.filter(({ waitsSince }) => waitsSince > time);
    return all.filter(({ waitsSince }) => waitsSince <= time);
  }

  #waiting(): readonly ClientRequest[] {
    return this.#requests.slice(this.#first).filter((request) => request?.isSettled === false) as ClientRequest[];
  }

  #dropFirst(): void {
    this.#requests[this.#first] = undefined;
    this.#first += 1;
    // The cost is proportional to what has left since the last time.
    if (!this.isEmpty && (this.#first < MOST_EMPTY || this.#first * 2 < this.#requests.length)) return;
    this.#requests = this.#requests.slice(this.#first);
    this.#first = 0;
  }
}
