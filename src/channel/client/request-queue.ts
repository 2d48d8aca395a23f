import type { ClientRequest } from './request.ts';

// So many places of requests that are gone are left before the others move up.
const GONE = 32;

/** Requests that wait for a connection, in their order. */
export class RequestQueue {
  #requests: (ClientRequest | undefined)[] = [];
  /** Where the first one is: to move all others up for each that goes would cost more with each that waits. */
  #first = 0;

  get isEmpty(): boolean {
    return this.#first === this.#requests.length;
  }

  push(request: ClientRequest): void {
    this.#requests.push(request);
  }

  /** Those that were sent once go before those that never were. */
  putBack(requests: readonly ClientRequest[]): void {
    if (requests.length === 0) return;
    this.#requests = [...requests, ...this.#requests.slice(this.#first)];
    this.#first = 0;
  }

  /** The next one, unless it was settled while it waited. */
  take(): ClientRequest | undefined {
    if (!this.hasNext()) return undefined;
    const request = this.#requests[this.#first];
    this.#dropFirst();
    return request;
  }

  /** Whether one waits that is not settled; drops those before it that are. */
  hasNext(): boolean {
    while (!this.isEmpty && this.#requests[this.#first]?.isSettled === true) this.#dropFirst();
    return !this.isEmpty;
  }

  /** Since when the one has been waiting that waits longest. */
  get waitingSince(): number {
    return this.#waiting().reduce((least, { waitsSince }) => Math.min(least, waitsSince), Number.POSITIVE_INFINITY);
  }

  takeAll(): readonly ClientRequest[] {
    return this.takeWaitingSince(Number.POSITIVE_INFINITY);
  }

  /** Those that have been waiting since then, or longer. */
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
    // In time proportional to what has gone since the last time.
    if (!this.isEmpty && (this.#first < GONE || this.#first * 2 < this.#requests.length)) return;
    this.#requests = this.#requests.slice(this.#first);
    this.#first = 0;
  }
}
