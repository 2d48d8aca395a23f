import type { CloseOptions, CloseReport } from '../../src/index.ts';
import { countLost } from '../../src/storm/outcome.ts';
import type { StormOptions } from '../../src/storm/options.ts';
import { runStorm, type Storm, type StormResult } from '../../src/storm/storm.ts';
import { holdAll, type TestProcess } from './processes.ts';
import { until } from './wait.ts';

/** How many ask at the same time. */
export const CLIENTS = 300;

/** How a storm is stopped, beside what it is itself. */
export interface StopInStorm extends Omit<Partial<StormOptions>, 'clients'> {
  /** Who is held still (SIGSTOP) until most clients wait, and goes on once `stop` is done: a quick machine has no queue. */
  readonly held?: Held;
}

/** Processes that serve, and how many connections wait for them. */
export interface Held {
  readonly pids: readonly number[];
  readonly waiting: () => number;
}

/** Calls `stop` in the middle of a storm, and waits until everybody was refused, or somebody was lost. */
export async function stopInStorm(
  port: number,
  stop: () => unknown,
  { held, ...options }: StopInStorm = {},
): Promise<StormResult> {
  const first = startStorm(port, options);
  await first.served(CLIENTS);
  if (held === undefined) {
    stop();
    return first.finished;
  }
  first.stop();
  await first.finished;
  return stopWhileHeld(port, stop, { ...options, held });
}

async function stopWhileHeld(
  port: number,
  stop: () => unknown,
  { held, ...options }: StopInStorm & { readonly held: Held },
): Promise<StormResult> {
  const goOn = await holdAll(held.pids);
  try {
    const storm = startStorm(port, options);
    await until(`${CLIENTS / 2} clients wait`, () => held.waiting() >= CLIENTS / 2);
    await stop();
    return storm.finished;
  } finally {
    goOn();
  }
}

/** Starts one of this host's clients that stops by itself when somebody was lost; by default {@link CLIENTS}. */
export function startStorm(port: number, options: Partial<StormOptions>): Storm {
  const storm = runStorm({
    clients: CLIENTS,
    ...options,
    target: { host: '127.0.0.1', port },
    // Whoever waits while the server stands still, on a busy machine, is not lost.
    timeout: 30_000,
    duration: 60_000,
    // That decides it. A plain close lets those go on whose requests it had read already, for as long as they like.
    onProgress: (counts) => {
      if (countLost(counts) > 0) storm.stop();
    },
  });
  return storm;
}

/** What the fixture storm/storm-server sends. */
export type StormServerSends =
  | { readonly port: number }
  /** The gate is shut, or `server.close()` was called. */
  | { readonly stopping: true }
  | { readonly report: CloseReport };

/** What the fixture storm/storm-runner sends. */
export type StormRunnerSends = { readonly enough: boolean } | { readonly result: StormResult };

/** One stop of a server under a storm of clients. */
export interface StopUnderStorm {
  readonly how: 'graceful' | 'plain';
  /** The fixture storm/storm-server. */
  readonly server: TestProcess<StormServerSends>;
  /** The fixture storm/storm-runner. */
  readonly client: TestProcess<StormRunnerSends>;
  readonly host: string;
  readonly clients: number;
  readonly options?: CloseOptions;
  /** The state in which the server is stopped, as soon as it is there; default whatever it is then. */
  readonly state?: StormState;
  /** Places more clients before the server is stopped; the function that it resolves with lets them go on when it is stopping. */
  readonly place?: (port: number) => Promise<() => Promise<void>>;
}

/** How many must wait in the accept queue, and how many handshakes must be under way. */
export interface StormState {
  readonly queued: number;
  readonly halfOpen: number;
}

/** What came of it; a plain close has no report. */
export interface StoppedUnderStorm {
  readonly result: StormResult;
  readonly report: CloseReport | undefined;
}

/** Starts the storm, stops the server once the queue has settled, and waits for the end of both. */
export async function stopUnderStorm(stop: StopUnderStorm): Promise<StoppedUnderStorm> {
  const port = await stop.server.next('port');
  const options: StormOptions = {
    target: { host: stop.host, port },
    clients: stop.clients,
    timeout: 30_000,
    duration: 40_000,
  };
  stop.client.send({ options, tellAfter: Math.max(600, stop.clients) });
  const enough = await stop.client.next('enough');
  if (!enough) throw new Error('the storm ended before the stop');
  const goOn = await stop.place?.(port);
  stop.server.send({ how: stop.how, options: stop.options, state: stop.state });
  await stop.server.next('stopping');
  await goOn?.();
  const report = stop.how === 'plain' ? undefined : await stop.server.next('report');
  return { result: await stop.client.next('result'), report };
}
