import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readTcpTable } from '../../src/linux/proc-net.ts';
import { countLost } from '../../src/storm/outcome.ts';
import { runStorm, type Storm, type StormOptions, type StormResult } from '../../src/storm/storm.ts';

/** How many ask at the same time. */
export const CLIENTS = 300;

// net/tcp_states.h
const LISTEN = 10;

/** How a storm is stopped, beside what it is itself. */
export interface StopInStorm extends Partial<StormOptions> {
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
  t: TestContext,
  port: number,
  stop: () => unknown,
  { held, ...options }: StopInStorm = {},
): Promise<StormResult> {
  const first = startStorm(t, port, options);
  await first.served(CLIENTS);
  if (held === undefined) {
    stop();
    return first.finished;
  }
  first.stop();
  await first.finished;
  return stopWhileHeld(t, port, stop, { ...options, held });
}

async function stopWhileHeld(
  t: TestContext,
  port: number,
  stop: () => unknown,
  { held, ...options }: StopInStorm & { readonly held: Held },
): Promise<StormResult> {
  const signalAll = (signal: NodeJS.Signals): void => held.pids.forEach((pid) => process.kill(pid, signal));
  signalAll('SIGSTOP');
  try {
    const storm = startStorm(t, port, options);
    while (held.waiting() < CLIENTS / 2) await sleep(1, undefined, { signal: t.signal });
    await stop();
    return storm.finished;
  } finally {
    signalAll('SIGCONT');
  }
}

function startStorm(t: TestContext, port: number, options: Partial<StormOptions>): Storm {
  const storm = runStorm({
    ...options,
    target: { host: '127.0.0.1', port },
    clients: CLIENTS,
    timeout: 30_000,
    duration: 60_000,
    signal: t.signal,
    // That decides it. A plain close lets those go on whose requests it had read already, for as long as they like.
    onProgress: (counts) => {
      if (countLost(counts) > 0) storm.stop();
    },
  });
  return storm;
}

/** How many wait in the accept queue of the listener of this port. */
export function queuedAt(port: number): number {
  return readTcpTable('IPv4').find((row) => row.state === LISTEN && row.localPort === port)?.receiveQueue ?? 0;
}
