import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { StoppedBehind } from './stop-behind.ts';

export function assertNoError(t: TestContext, stopped: StoppedBehind): void {
  t.diagnostic(summaryOf(stopped));
  assert.deepEqual(stopped.errors, []);
}

/** Returns how many there were. */
export function assertErrors(t: TestContext, stopped: StoppedBehind): number {
  t.diagnostic(`${summaryOf(stopped)}; ${stopped.errors[0]?.slice(0, 60)}`);
  assert.ok(stopped.errors.length > 0, `${stopped.requests} requests`);
  return stopped.errors.length;
}

function summaryOf({ requests, errors, report, noticed }: StoppedBehind): string {
  const summary = `${requests} requests, ${errors.length} errors; the proxy saw ${noticed}`;
  if (report === undefined) return summary;
  const { atStart, fromQueues, cut } = report.connections;
  return `${summary}; ${atStart} connections and ${fromQueues} from the queue, ${cut.length} reset, closed in ${Math.round(report.duration)} ms`;
}
