import { Client } from './client.ts';
import type { LatencySummary } from './latencies.ts';
import { checkStormOptions, type StormOptions } from './options.ts';
import { countLost, type Outcome, type StormCounts } from './outcome.ts';
import { Tally } from './tally.ts';

export type { StormOptions } from './options.ts';
export type { StormCounts } from './outcome.ts';

/** A load of real connections that records what each client saw. */
export interface Storm {
  /** Live. */
  readonly counts: Readonly<StormCounts>;
  /** Resolves once every client has left and every socket is closed. Never rejects. */
  readonly finished: Promise<StormResult>;
  /** Begins no new request. Requests under way finish and count. */
  stop(): void;
  /** Resolves once `count` requests were served; rejects if the storm ends before. */
  served(count: number): Promise<void>;
}

export interface StormResult {
  readonly counts: Readonly<StormCounts>;
  /** Clients that the server failed: all except `served`, `refused`, `unprocessed`, `idleClosed`, `failed` and `aborted`. */
  readonly lost: number;
  /** From the start until the last socket was closed, in ms. */
  readonly duration: number;
  /** Of the served requests, including the handshake of a new connection. */
  readonly latency: LatencySummary;
  /** Connections whose handshake completed. */
  readonly connections: number;
  /** A few messages for each outcome. */
  readonly errors: Readonly<Partial<Record<Outcome, readonly string[]>>>;
}

const PROGRESS_MILLISECONDS = 100;

/**
 * Starts a storm at once. It ends by itself: it begins no request after `duration` ms, and waits for none longer than
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
  const checked = checkStormOptions(options);
  const { duration, localAddresses, onProgress, signal } = checked;
  const tally = new Tally(checked);
  const { counts } = tally;
  const startedAt = performance.now();
  const elapsed = (): number => performance.now() - startedAt;
  const clients = Array.from(
    { length: checked.clients },
    (_, index) => new Client(tally, localAddresses[index % localAddresses.length]),
  );

  const stop = (): void => {
    if (tally.stopRequests()) for (const client of clients) client.stop();
  };
  const abort = (): void => {
    tally.stopRequests();
    for (const client of clients) client.abort();
  };
  const durationTimer = setTimeout(stop, duration);
  const progressTimer = onProgress && setInterval(() => onProgress(counts, elapsed()), PROGRESS_MILLISECONDS);
  signal?.addEventListener('abort', abort);
  const finished = tally.ended.then((): StormResult => {
    clearTimeout(durationTimer);
    clearInterval(progressTimer);
    signal?.removeEventListener('abort', abort);
    const { latency, connections, examples: errors } = tally;
    return { counts: { ...counts }, lost: countLost(counts), duration: elapsed(), latency, connections, errors };
  });

  for (const client of clients) client.ask();
  if (signal?.aborted) abort();
  return { counts, finished, stop, served: (count) => tally.served(count) };
}
