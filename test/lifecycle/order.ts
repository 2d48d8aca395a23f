import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LifeConfig } from '../fixtures/lifecycle/life-service.ts';
import { LifeService } from './life-service-driver.ts';

/** One order of events, and its result. docs/lifecycle.md has a row for each, with the same words. */
export interface Order {
  readonly event: string;
  readonly result: string;
  readonly config?: LifeConfig;
  /** Causes the events. The service listens at `port`, if it listens from the start. */
  readonly walk: (service: LifeService, port: number) => Promise<void>;
  /** The exit code, or the signal that ended the process. */
  readonly ends: number | NodeJS.Signals;
  /** The outcome of a complete stop. */
  readonly outcome?: 'complete' | 'forced';
  readonly stderr?: RegExp;
  /** From the first signal to the end, in ms. */
  readonly within: number;
  /** The least of that, in ms. */
  readonly notBefore?: number;
}

/** In ms. A second signal counts from 500 ms on. */
export const SECOND_AFTER = 600;
export const QUICK = { idleWait: 50, lingerWait: 50 } as const;
/** For a process on a busy machine, in ms. Less than the default deadline, and than a lame duck of 8 s. */
export const SLACK = 6_000;

/**
 * The least of a time that ends with the deadline, in ms: the time for which the program was busy when the signal came counts as
 * gone, and on a busy machine that is some of it.
 */
export function leastOf(time: number): number {
  return time / 2;
}

/** Another SIGTERM, when the program has reported the first one. The time in between makes it a second one. */
export async function signalAgain(service: LifeService): Promise<void> {
  await sleep(SECOND_AFTER);
  service.signal();
}

/** Causes an order of events, and asserts its result. */
export async function takeOrder(order: Order): Promise<void> {
  await using service = new LifeService(order.config);
  const port = order.config?.listens === false ? 0 : await service.next('port');
  await order.walk(service, port);
  const { code, signal, stderr, after } = await service.ended;
  assert.equal(signal ?? code, order.ends, stderr);
  if (order.stderr === undefined) assert.equal(stderr, '');
  else assert.match(stderr, order.stderr);
  if (order.outcome !== undefined && order.ends !== 'SIGTERM') {
    const report = await service.next('report');
    assert.equal(report.outcome, order.outcome);
  }
  assert.ok(after <= order.within, `ended ${after} ms after the first signal`);
  assert.ok(after >= (order.notBefore ?? 0), `ended ${after} ms after the first signal already`);
}
