import type { Clock } from '../wire/transport.ts';

/** How a request with a key ended: its reply, or what its handler's error says. */
export type Outcome = { readonly reply: Uint8Array } | { readonly failure: string };

type MaybePromise<Value> = Value | Promise<Value>;

/**
 * Where a server remembers how requests with a key have ended. What is shared, or outlives the process, makes exactly-once
 * hold across servers and restarts; `memoryStore` does so for one process.
 */
export interface OutcomeStore {
  /**
   * Names this memory, in at most 255 bytes. A client asks for an outcome only where it finds the name again, so it must not be
   * the same for two memories; a shared one has the same name in all processes.
   */
  readonly name: string;
  /** For how long a key is remembered, in milliseconds. */
  readonly remembers: number;
  /**
   * Takes a key. `claimed`: nobody had it, and the request is processed now. `under way`: somebody has it and has not said how it
   * ended; it is asked again for some seconds. Else how it has ended. What has claimed it and has died without effect may be
   * claimed anew: only the store can know. Where it throws, the request is not processed, and `onError` hears why.
   */
  claim(key: string): MaybePromise<'claimed' | 'under way' | Outcome>;
  /** Keeps how it has ended. Where it throws, the client is told that the outcome is unknown, and `onError` hears why. */
  keep(key: string, outcome: Outcome): MaybePromise<void>;
  /**
   * The client has the outcome, and nothing of the request is on its way any more. A key that is under way must not be
   * forgotten, whoever says so: it would be processed twice.
   */
  forget(key: string): MaybePromise<void>;
}

/** How a request with a key ended, or why that is not known; `cause` is what the store has thrown, which is not for the client. */
export type Resolved = Outcome | Unresolved;

type Unresolved = ({ readonly notProcessed: string } | { readonly unknown: string }) & { readonly cause?: unknown };

// How long another process may take to say how a request ended that it has begun, and how often to ask, in milliseconds.
const ELSEWHERE = 5_000;
const ASK_EVERY = 100;

/** A request with a key that is being resolved, for all who have asked for it. */
interface Running {
  readonly resolved: Promise<Resolved>;
  readonly takenBack: AbortController;
  /** Those who have not taken it back. */
  askers: number;
}

/** Sees to it that a server processes no key twice. */
export class Outcomes {
  readonly store: OutcomeStore;
  readonly #clock: Clock;
  readonly #running = new Map<string, Running>();

  constructor(store: OutcomeStore, clock: Clock) {
    this.store = store;
    this.#clock = clock;
  }

  /**
   * Performs what has not been performed under this key, or says how it ended. `signal` is one asker's: what is performed is
   * aborted when all of them have taken it back. It does not reject.
   */
  resolve(key: string, signal: AbortSignal, perform: (signal: AbortSignal) => Promise<Outcome>): Promise<Resolved> {
    const running = this.#running.get(key) ?? this.#begin(key, perform);
    running.askers += 1;
    const takeBack = (): void => {
      running.askers -= 1;
      if (running.askers === 0) running.takenBack.abort(signal.reason);
    };
    if (signal.aborted) takeBack();
    else signal.addEventListener('abort', takeBack, { once: true });
    return running.resolved.finally(() => signal.removeEventListener('abort', takeBack));
  }

  /** Of one that is under way it is not true that the client has it. */
  forget(key: string): void {
    if (this.#running.has(key)) return;
    // Forgetting less than it might is all that can come of an error.
    void Promise.resolve()
      .then(() => this.store.forget(key))
      .catch(() => undefined);
  }

  #begin(key: string, perform: (signal: AbortSignal) => Promise<Outcome>): Running {
    const takenBack = new AbortController();
    const resolved = this.#resolve(key, () => perform(takenBack.signal)).finally(() => this.#running.delete(key));
    const running = { resolved, takenBack, askers: 0 };
    this.#running.set(key, running);
    return running;
  }

  async #resolve(key: string, perform: () => Promise<Outcome>): Promise<Resolved> {
    let claim: 'claimed' | 'under way' | Outcome;
    try {
      claim = await this.#claim(key);
    } catch (cause) {
      return { notProcessed: 'the server cannot remember it', cause };
    }
    if (claim === 'under way') return { unknown: 'it was begun elsewhere, and its end was not heard of' };
    if (claim !== 'claimed') return claim;
    const outcome = await perform();
    try {
      await this.store.keep(key, outcome);
    } catch (cause) {
      return { unknown: 'it was processed, and the server could not keep how it ended', cause };
    }
    return outcome;
  }

  async #claim(key: string): Promise<'claimed' | 'under way' | Outcome> {
    const until = this.#clock.now() + ELSEWHERE;
    for (;;) {
      const claim: unknown = await this.store.claim(key);
      if (claim === 'claimed' || isOutcome(claim)) return claim;
      if (claim !== 'under way') throw new TypeError('its `claim` has given neither a word nor an outcome');
      if (this.#clock.now() >= until) return claim;
      await new Promise<void>((resolve) => this.#clock.after(ASK_EVERY, resolve));
    }
  }
}

/** A store is the program's: it may give anything. */
function isOutcome(claim: unknown): claim is Outcome {
  if (typeof claim !== 'object' || claim === null) return false;
  const { reply, failure }: { readonly reply?: unknown; readonly failure?: unknown } = claim;
  return reply instanceof Uint8Array || typeof failure === 'string';
}
