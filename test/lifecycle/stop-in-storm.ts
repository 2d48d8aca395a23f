import type { TestContext } from 'node:test';
import { countLost } from '../../src/storm/outcome.ts';
import { runStorm, type StormOptions, type StormResult } from '../../src/storm/storm.ts';

/** How many ask at the same time. */
export const CLIENTS = 300;

/** Calls `stop` in the middle of a storm, and waits until everybody was refused, or somebody was lost. */
export async function stopInStorm(
  t: TestContext,
  port: number,
  stop: () => unknown,
  options: Partial<StormOptions> = {},
): Promise<StormResult> {
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
  await storm.served(CLIENTS);
  stop();
  return storm.finished;
}
