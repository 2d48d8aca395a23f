import type { Clock } from '../wire/transport.ts';

/**
 * How a request with a key ended: its reply, or the text of its handler's error. `digest` is that of its payload. A store that keeps it
 * lets the server find out that a key is used again with another payload.
 */
export type Outcome = ({ readonly reply: Uint8Array } | { readonly failure: string }) & { readonly digest?: string };

type MaybePromise<Value> = Value | Promise<Value>;

/**
 * Where a server keeps how requests with a key ended. A store that is shared, or outlives the process, makes exactly-once hold
 * across servers and restarts. `memoryStore` does so for one process.
 */
export interface OutcomeStore {
  /**
   * The name of this store, at most 255 bytes. A client asks for an outcome only where it finds the name again. So two stores must
   * not have the same name, and a shared one has the same name in all processes.
   */
  readonly name: string;
  /** For how long the store keeps a key, in milliseconds. */
  readonly remembers: number;
  /**
   * Claims a key. `claimed`: the key was free, and the request is processed now. `under way`: another request has it and has not
   * ended; the server asks again for five seconds. Otherwise the outcome. A key whose process died without effect may be claimed
   * again: only the store can know that. Where this throws, the request is not processed, and `onError` gets the error. `owner` is
   * the identity of the client, to which the key is bound already: a store with little room may share it out among the owners.
   */
  claim(key: string, owner?: string): MaybePromise<'claimed' | 'under way' | Outcome>;
  /** Keeps the outcome. Where this throws, the outcome is unknown to the client, and `onError` gets the error. */
  keep(key: string, outcome: Outcome): MaybePromise<void>;
  /**
   * The client has the outcome, and the request is not on its way anywhere. A key that is under way must not be forgotten, even
   * if this is called: it would be processed twice.
   */
  forget(key: string): MaybePromise<void>;
}

/** How a request with a key ended, or why that is unknown. `cause` is what the store threw. The client does not get it. */
export type Resolved = Outcome | Unresolved;

type Unresolved = (
  | { readonly notProcessed: string }
  | { readonly unknown: string }
  /** The key was used with another payload. */
  | { readonly reused: string }
) & { readonly cause?: unknown };

/** A key, bound to its client, and the digest of a payload that has come with it. */
export interface PayloadKey {
  readonly key: string;
  readonly digest: string;
}

interface Asked extends PayloadKey {
  /** The client's identity. */
  readonly owner: string;
}

// How long to wait for a request that another process has begun, and how often to ask the store, in milliseconds.
const LONGEST_WAIT = 5_000;
const ASK_EVERY = 100;

const REUSED: Resolved = { reused: 'The key was used before, with another payload' };

/** A key that is being resolved, for all requests that have it. */
interface Running {
  readonly digest: string;
  readonly resolved: Promise<Resolved>;
  readonly cancelled: AbortController;
  /** How many requests have the key and are not cancelled. */
  requests: number;
}

/** Processes each key once. */
export class Outcomes {
  readonly store: OutcomeStore;
  readonly #clock: Clock;
  readonly #running = new Map<string, Running>();

  constructor(store: OutcomeStore, clock: Clock) {
    this.store = store;
    this.#clock = clock;
  }

  /**
   * Calls `perform` if the key is new. Resolves with how it ended. `signal` aborts when this request is cancelled; the signal of
   * `perform` aborts when all requests with the key are. Does not reject.
   */
  resolve(asked: Asked, signal: AbortSignal, perform: (signal: AbortSignal) => Promise<Outcome>): Promise<Resolved> {
    const running = this.#running.get(asked.key) ?? this.#begin(asked, perform);
    if (running.digest !== asked.digest) return Promise.resolve(REUSED);
    running.requests += 1;
    const cancel = (): void => {
      running.requests -= 1;
      if (running.requests === 0) running.cancelled.abort(signal.reason);
    };
    if (signal.aborted) cancel();
    else signal.addEventListener('abort', cancel, { once: true });
    return running.resolved.finally(() => signal.removeEventListener('abort', cancel));
  }

  /** Ignored for a key that is under way, because no client can have its outcome. */
  forget(key: string): void {
    if (this.#running.has(key)) return;
    // After an error the store keeps the key for longer. That does no harm.
    void Promise.resolve()
      .then(() => this.store.forget(key))
      .catch(() => undefined);
  }

  #begin(asked: Asked, perform: (signal: AbortSignal) => Promise<Outcome>): Running {
    const { key, digest } = asked;
    const cancelled = new AbortController();
    const resolved = this.#resolve(asked, () => perform(cancelled.signal)).finally(() => this.#running.delete(key));
    const running = { digest, resolved, cancelled, requests: 0 };
    this.#running.set(key, running);
    return running;
  }

  async #resolve({ key, owner, digest }: Asked, perform: () => Promise<Outcome>): Promise<Resolved> {
    let claim: 'claimed' | 'under way' | Outcome;
    try {
      claim = await this.#claim(key, owner);
    } catch (cause) {
      return { notProcessed: 'the server cannot remember it', cause };
    }
    if (claim === 'under way') return { unknown: 'it was begun elsewhere, and did not end in time' };
    if (claim !== 'claimed') return (claim.digest ?? digest) === digest ? claim : REUSED;
    const outcome = { ...(await perform()), digest };
    try {
      await this.store.keep(key, outcome);
    } catch (cause) {
      return { unknown: 'it was processed, and the server could not keep how it ended', cause };
    }
    return outcome;
  }

  async #claim(key: string, owner: string): Promise<'claimed' | 'under way' | Outcome> {
    const until = this.#clock.now() + LONGEST_WAIT;
    for (;;) {
      const claim: unknown = await this.store.claim(key, owner);
      if (claim === 'claimed' || isOutcome(claim)) return claim;
      if (claim !== 'under way') throw new TypeError('Expected `claim` to return `claimed`, `under way` or an outcome');
      if (this.#clock.now() >= until) return claim;
      await new Promise<void>((resolve) => this.#clock.after(ASK_EVERY, resolve));
    }
  }
}

/** The store belongs to the program, and may return anything. */
function isOutcome(claim: unknown): claim is Outcome {
  if (typeof claim !== 'object' || claim === null) return false;
  const { reply, failure }: { readonly reply?: unknown; readonly failure?: unknown } = claim;
  return reply instanceof Uint8Array || typeof failure === 'string';
}
