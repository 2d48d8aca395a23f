import assert from 'node:assert/strict';
import { ask } from './life-service-driver.ts';
import { leastOf, type Order, QUICK, SECOND_AFTER, signalAgain, SLACK } from './order.ts';

/** What signals and the deadline do. */
export const SIGNAL_ORDERS: readonly Order[] = [
  {
    event: 'SIGTERM before a server listens',
    result: 'the signal ends the process, as it ends any program',
    config: { listens: false },
    walk: async (service) => {
      await service.reaches('serving');
      service.signal();
    },
    ends: 'SIGTERM',
    within: SLACK,
  },
  {
    event: 'SIGTERM',
    result: 'the service stops; exit code 0',
    config: { options: QUICK },
    walk: async (service, port) => {
      assert.equal((await ask('/', port)).status, 200);
      service.signal();
    },
    ends: 0,
    outcome: 'complete',
    within: SLACK,
  },
  {
    event: 'two SIGTERMs within 500 ms',
    result: 'one stop, because terminals and process groups send two signals',
    config: { options: QUICK },
    walk: async (service, port) => {
      const { answer } = await service.begin('/slow', port);
      await service.signalTogether('SIGTERM', 'SIGINT', 'SIGTERM');
      await service.reaches('closing');
      service.order({ do: 'answer' });
      assert.deepEqual(await answer, { status: 200, connection: 'close' });
    },
    ends: 0,
    outcome: 'complete',
    within: SLACK,
  },
  {
    event: 'a second SIGTERM during the lame duck',
    result: 'the gate shuts at once, and what is left is cut; exit code 0',
    config: { options: { ...QUICK, lameDuck: 8_000, lameDuckMin: 8_000, deadline: 20_000 } },
    walk: async (service, port) => {
      const { answer } = await service.begin('/slow', port);
      service.signal();
      await service.reaches('lame duck');
      await signalAgain(service);
      await service.reaches('closing');
      assert.equal((await answer).status, 'ECONNRESET');
    },
    ends: 0,
    outcome: 'forced',
    stderr: /^lastcall: 1 of 1 connections cut: 127\.0\.0\.1:\d+ \(http\/1\.1, aborted\)\n$/,
    notBefore: SECOND_AFTER,
    within: SECOND_AFTER + SLACK,
  },
  {
    event: 'a second SIGTERM during the drain',
    result: 'what is left is cut; exit code 0',
    config: { options: { ...QUICK, deadline: 20_000 } },
    walk: async (service, port) => {
      const { answer } = await service.begin('/slow', port);
      service.signal();
      await service.reaches('closing');
      await signalAgain(service);
      assert.equal((await answer).status, 'ECONNRESET');
    },
    ends: 0,
    outcome: 'forced',
    stderr: /^lastcall: 1 of 1 connections cut/,
    notBefore: SECOND_AFTER,
    within: SECOND_AFTER + SLACK,
  },
  {
    event: 'a second SIGTERM during `onDrained`',
    result: 'the hook gets one more second; exit code 1 if that is not enough',
    config: { options: { ...QUICK, deadline: 20_000 }, onDrained: 'never ends' },
    walk: async (service) => {
      service.signal();
      assert.equal(await service.next('hook'), 'onDrained complete');
      await signalAgain(service);
    },
    ends: 1,
    outcome: 'complete',
    stderr: /^lastcall: `onDrained` did not finish in time\n$/,
    notBefore: SECOND_AFTER + 900,
    within: SECOND_AFTER + 1_000 + SLACK,
  },
  {
    event: 'a second SIGTERM during `onLameDuck`',
    result: 'the gate shuts at once, without waiting for the hook; exit code 0',
    config: { options: { ...QUICK, deadline: 20_000 }, onLameDuck: 'never ends', onDrained: 'tells' },
    walk: async (service) => {
      service.signal();
      assert.equal(await service.next('hook'), 'onLameDuck SIGTERM');
      await signalAgain(service);
      assert.equal(await service.next('hook'), 'onDrained complete');
    },
    ends: 0,
    outcome: 'complete',
    notBefore: SECOND_AFTER,
    within: SECOND_AFTER + SLACK,
  },
  {
    event: 'the deadline comes while a request is under way',
    result: 'the request is cut and named on stderr; exit code 0',
    config: { options: { ...QUICK, deadline: 1_000 } },
    walk: async (service, port) => {
      const { answer } = await service.begin('/slow', port);
      service.signal();
      assert.equal((await answer).status, 'ECONNRESET');
    },
    ends: 0,
    outcome: 'forced',
    stderr: /^lastcall: 1 of 1 connections cut: 127\.0\.0\.1:\d+ \(http\/1\.1, deadline\)\n$/,
    notBefore: leastOf(1_000),
    within: 1_000 + SLACK,
  },
  {
    event: 'the deadline comes while a request is under way, with `strict`',
    result: 'the request is cut and named on stderr; exit code 1',
    config: { options: { ...QUICK, deadline: 1_000, strict: true } },
    walk: async (service, port) => {
      const { answer } = await service.begin('/slow', port);
      service.signal();
      assert.equal((await answer).status, 'ECONNRESET');
    },
    ends: 1,
    outcome: 'forced',
    stderr: /^lastcall: 1 of 1 connections cut/,
    within: 1_000 + SLACK,
  },
];
