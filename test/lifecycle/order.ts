import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LifeConfig } from '../fixtures/lifecycle/life-service.ts';
import { LifeService } from './life-service-driver.ts';

/** One order of events, and what comes of it. docs/lifecycle.md has a row for each, with the same words. */
export interface Order {
  readonly event: string;
  readonly result: string;
  readonly config?: LifeConfig;
  /** Brings it about. The service listens at `port`, where it does from the start. */
  readonly walk: (service: LifeService, port: number) => Promise<void>;
  /** The exit code, or the signal that has ended the process. */
  readonly ends: number | NodeJS.Signals;
  /** Whether a stop was walked to its end, and with what outcome. */
  readonly outcome?: 'complete' | 'forced';
  readonly stderr?: RegExp;
  /** Milliseconds, from the first signal to the end. */
  readonly within: number;
  /** At least so many. */
  readonly notBefore?: number;
}

/** A second signal counts as one from 500 ms on. */
export const SECOND_AFTER = 600;
export const QUICK = { idleWait: 50, lingerWait: 50 } as const;
/** A process of its own takes its time on a busy machine; less than the default deadline, and than a lame duck of 8 s. */
export const SLACK = 6_000;

/** SIGTERM once more, when the program has told that the first one has come. The time in between is what makes it a second one. */
export async function signalAgain(service: LifeService): Promise<void> {
  await sleep(SECOND_AFTER);
  service.signal();
}

/** Brings an order of events about, and asserts its result. */
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
