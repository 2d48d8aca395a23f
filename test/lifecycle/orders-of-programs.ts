import assert from 'node:assert/strict';
import { ask } from './life-service-driver.ts';
import { leastOf, type Order, QUICK, SLACK } from './order.ts';

/** What the program does during the stop: its hooks, its servers, its errors, its calls of `close()`. */
export const PROGRAM_ORDERS: readonly Order[] = [
  {
    event: '`onLameDuck` throws an error',
    result: 'the error is reported; the stop goes on; exit code 1',
    config: { options: QUICK, onLameDuck: 'throws', onDrained: 'tells' },
    walk: async (service) => {
      service.signal();
      assert.equal(await service.next('hook'), 'onLameDuck SIGTERM');
      assert.equal(await service.next('hook'), 'onDrained complete');
    },
    ends: 1,
    outcome: 'complete',
    stderr: /^lastcall: `onLameDuck` threw: Error: onLameDuck SIGTERM is out of order\n/,
    within: SLACK,
  },
  {
    event: '`onDrained` rejects',
    result: 'the error is reported; exit code 1',
    config: { options: QUICK, onDrained: 'rejects' },
    walk: async (service) => {
      service.signal();
      assert.equal(await service.next('hook'), 'onDrained complete');
    },
    ends: 1,
    outcome: 'complete',
    stderr: /^lastcall: `onDrained` threw: Error: onDrained complete is out of order\n/,
    within: SLACK,
  },
  {
    event: '`onLameDuck` never ends',
    result: 'the stop waits for the hook until half of the deadline, then goes on; exit code 1',
    config: { options: { ...QUICK, deadline: 6_000 }, onLameDuck: 'never ends', onDrained: 'tells' },
    walk: async (service, port) => {
      service.signal();
      assert.equal(await service.next('hook'), 'onLameDuck SIGTERM');
      // It may use half of the deadline. Clients are still served.
      assert.deepEqual(await ask('/', port), { status: 200, connection: 'close' });
      assert.equal(await service.next('hook'), 'onDrained complete');
    },
    ends: 1,
    outcome: 'complete',
    stderr: /^lastcall: `onLameDuck` did not finish in time\n$/,
    notBefore: leastOf(3_000),
    within: 6_000 + SLACK,
  },
  {
    event: '`onDrained` never ends',
    result: 'the stop waits for the hook until the deadline; exit code 1',
    config: { options: { ...QUICK, deadline: 1_000 }, onDrained: 'never ends' },
    walk: async (service) => {
      service.signal();
      assert.equal(await service.next('hook'), 'onDrained complete');
    },
    ends: 1,
    outcome: 'complete',
    stderr: /^lastcall: `onDrained` did not finish in time\n$/,
    notBefore: leastOf(1_000),
    within: 1_000 + SLACK,
  },
  {
    event: 'SIGTERM after the program has closed its only server',
    result: 'the signal ends the process',
    config: { options: QUICK, keeps: true },
    walk: async (service, port) => {
      assert.equal((await ask('/', port)).status, 200);
      service.order({ do: 'count listeners' });
      assert.equal(await service.next('listeners'), 2);
      service.order({ do: 'close the server' });
      await service.next('closed');
      service.order({ do: 'count listeners' });
      assert.equal(await service.next('listeners'), 0);
      service.signal();
    },
    ends: 'SIGTERM',
    within: 6_000 + SLACK,
  },
  {
    event: 'SIGTERM after the program has closed one of two servers',
    result: 'the other server is drained; exit code 0',
    config: { options: QUICK, servers: 'two' },
    walk: async (service) => {
      const second = await service.next('second');
      const { answer } = await service.begin('/slow', second);
      service.order({ do: 'close the server' });
      service.signal();
      await service.reaches('closing');
      service.order({ do: 'answer' });
      assert.deepEqual(await answer, { status: 200, connection: 'close' });
    },
    ends: 0,
    outcome: 'complete',
    within: SLACK,
  },
  {
    event: 'a server begins to listen during the lame duck',
    result: 'the new server serves, and is closed with the others',
    config: { options: { ...QUICK, lameDuck: 3_000, lameDuckMin: 3_000 }, servers: 'all', secondListens: 'lame duck' },
    walk: async (service) => {
      service.signal();
      const second = await service.next('second');
      assert.deepEqual(await ask('/', second), { status: 200, connection: 'close' });
    },
    ends: 0,
    outcome: 'complete',
    notBefore: 3_000,
    within: 3_000 + SLACK,
  },
  {
    event: 'a server begins to listen during the drain',
    result: 'the new server is also closed and drained',
    config: { options: QUICK, servers: 'all', secondListens: 'closing' },
    walk: async (service, port) => {
      const { answer } = await service.begin('/slow', port);
      service.signal();
      await service.next('second');
      service.order({ do: 'answer' });
      assert.deepEqual(await answer, { status: 200, connection: 'close' });
    },
    ends: 0,
    outcome: 'complete',
    within: SLACK,
  },
  {
    event: 'a server begins to listen in `onDrained`',
    result: 'the new server is also closed and drained',
    config: { options: QUICK, servers: 'all', secondListens: 'in onDrained', onDrained: 'tells' },
    walk: async (service) => {
      service.signal();
    },
    ends: 0,
    outcome: 'complete',
    within: SLACK,
  },
  {
    event: 'an uncaught error',
    result: "Node's message at once, no lame duck, then the drain and the hooks within 5 s; exit code 1",
    config: { options: { ...QUICK, lameDuck: 8_000, lameDuckMin: 8_000, deadline: 20_000 }, onDrained: 'tells' },
    walk: async (service, port) => {
      const { answer } = await service.begin('/slow', port);
      service.order({ do: 'fail' });
      assert.equal(await service.reaches('closing'), 'uncaught error');
      service.order({ do: 'answer' });
      assert.deepEqual(await answer, { status: 200, connection: 'close' });
      assert.equal(await service.next('hook'), 'onDrained complete');
    },
    ends: 1,
    outcome: 'complete',
    stderr: /Error: out of order\n {4}at [^]*\n\nNode\.js v\d/,
    within: SLACK,
  },
  {
    event: 'an uncaught error while a request is never answered',
    result: 'the request is cut after 5 s; exit code 1',
    config: { options: { ...QUICK, deadline: 20_000 } },
    walk: async (service, port) => {
      const { answer } = await service.begin('/slow', port);
      service.order({ do: 'fail' });
      assert.equal((await answer).status, 'ECONNRESET');
    },
    ends: 1,
    outcome: 'forced',
    stderr: /Error: out of order[^]*lastcall: 1 of 1 connections cut/,
    notBefore: 4_500,
    within: 5_000 + SLACK,
  },
  {
    event: 'an unhandled rejection during the drain',
    result: 'the stop gets 5 more seconds; exit code 1',
    config: { options: { ...QUICK, deadline: 20_000 } },
    walk: async (service, port) => {
      const { answer } = await service.begin('/slow', port);
      service.signal();
      await service.reaches('closing');
      service.order({ do: 'reject' });
      assert.equal((await answer).status, 'ECONNRESET');
    },
    ends: 1,
    outcome: 'forced',
    stderr: /Error: out of order[^]*lastcall: 1 of 1 connections cut/,
    notBefore: 4_500,
    within: 5_000 + SLACK,
  },
  {
    event: "an uncaught error that the program's own listener handles",
    result: 'no stop, because the program has chosen to go on',
    config: { options: QUICK, catches: true },
    walk: async (service, port) => {
      service.order({ do: 'fail' });
      assert.equal(await service.next('caught'), 'out of order');
      assert.deepEqual(await ask('/', port), { status: 200, connection: 'keep-alive' });
      service.signal();
    },
    ends: 0,
    outcome: 'complete',
    within: SLACK,
  },
  {
    event: 'SIGTERM to a program whose service is in a worker thread',
    result: 'the signal ends the process: Node delivers signals to the main thread only',
    config: { options: QUICK, inThread: true },
    walk: async (service, port) => {
      assert.equal((await ask('/', port)).status, 200);
      service.signal();
    },
    ends: 'SIGTERM',
    within: SLACK,
  },
  {
    event: '`service.close()` in a worker thread',
    result: 'the service stops; the process goes on',
    config: { options: QUICK, inThread: true },
    walk: async (service, port) => {
      const { answer } = await service.begin('/slow', port);
      service.order({ do: 'close', reason: 'told by the main thread' });
      assert.equal(await service.reaches('closing'), 'told by the main thread');
      service.order({ do: 'answer' });
      assert.deepEqual(await answer, { status: 200, connection: 'close' });
      assert.equal((await service.next('report')).outcome, 'complete');
      // The main thread waits for more messages, as any program does.
      service.signal();
    },
    ends: 'SIGTERM',
    within: SLACK,
  },
  {
    event: '`service.close()`',
    result: 'the service stops; the process ends when nothing keeps it running',
    config: { options: QUICK, onLameDuck: 'tells', onDrained: 'tells' },
    walk: async (service) => {
      service.order({ do: 'close', reason: 'an order' });
      assert.equal(await service.next('hook'), 'onLameDuck an order');
    },
    ends: 0,
    outcome: 'complete',
    within: SLACK,
  },
  {
    event: '`service.close()`, then SIGTERM during that stop',
    result: 'one stop, after which the process exits',
    config: { options: { ...QUICK, deadline: 20_000 }, onDrained: 'tells' },
    walk: async (service, port) => {
      const { answer } = await service.begin('/slow', port);
      service.order({ do: 'close', reason: 'an order' });
      assert.equal(await service.reaches('closing'), 'an order');
      service.signal();
      service.order({ do: 'answer' });
      assert.deepEqual(await answer, { status: 200, connection: 'close' });
      assert.equal(await service.next('hook'), 'onDrained complete');
    },
    ends: 0,
    outcome: 'complete',
    within: SLACK,
  },
  {
    event: '`service.close()` in `onLameDuck`',
    result: 'one stop, and one promise for all callers',
    config: { options: QUICK, onLameDuck: 'closes', onDrained: 'tells' },
    walk: async (service) => {
      service.order({ do: 'close', reason: 'an order' });
      assert.equal(await service.next('hook'), 'onLameDuck an order');
      assert.equal(await service.next('hook'), 'onDrained complete');
      assert.equal(await service.reaches('closed'), 'an order');
    },
    ends: 0,
    outcome: 'complete',
    within: SLACK,
  },
  {
    event: 'SIGTERM, with `exit: false`',
    result: 'the service stops; the process ends when nothing keeps it running',
    config: { options: { ...QUICK, exit: false } },
    walk: async (service) => {
      service.signal();
      assert.equal(await service.reaches('closed'), 'SIGTERM');
    },
    ends: 0,
    outcome: 'complete',
    within: SLACK,
  },
];
