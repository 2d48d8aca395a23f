import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ENDED_WELL, startService } from '../harness/start-service.ts';
import { LifeService } from './life-service-driver.ts';
import { NotifySocket } from './notify-socket.ts';

const QUICK = { idleWait: 50, lingerWait: 50 } as const;

/** The microseconds of EXTEND_TIMEOUT_USEC in a message, in milliseconds. */
function extension(message: string): number {
  return Number(/^EXTEND_TIMEOUT_USEC=(\d+)$/m.exec(message)?.[1]) / 1_000;
}

suite('a service under systemd', () => {
  test('sends when it is ready, that it stops, and its progress, with the time that is left', async () => {
    using manager = new NotifySocket('abstract');
    const options = { ...QUICK, deadline: 20_000 };
    await using service = new LifeService({ options, servers: 'two' }, { NOTIFY_SOCKET: manager.address });
    const port = await service.next('port');
    // Both servers listen by then.
    assert.equal(await manager.next(), 'READY=1\nSTATUS=ready');
    const { answer } = await service.begin('/slow', port);
    service.signal();
    const stopping = await manager.next();
    assert.match(stopping, /^STOPPING=1\nSTATUS=stopping: SIGTERM\nEXTEND_TIMEOUT_USEC=\d+$/);
    const first = extension(stopping);
    assert.ok(first > 20_000 && first <= 25_000, `${first} ms: what is left of the deadline, and 5 s`);
    const progress = await manager.next();
    assert.match(progress, /^STATUS=ending connections: 0 queued, 0 half-open, 1 connections open, 0 ended\nEXTEND_/);
    const second = extension(progress);
    assert.ok(second < first && second >= first - 5_000, `${second} ms, of the same clock as ${first}`);
    service.order({ do: 'answer' });
    assert.equal((await answer).status, 200);
    assert.equal((await service.ended).code, 0);
    assert.deepEqual(
      manager.takeAll().filter((message) => message.includes('READY')),
      [],
    );
  });

  test('is not ready before all its servers listen', async () => {
    using manager = new NotifySocket('path');
    const config = { options: { ...QUICK, lameDuck: 0 }, servers: 'two', secondListens: 'closing' } as const;
    await using service = new LifeService(config, { NOTIFY_SOCKET: manager.address });
    await service.next('port');
    service.signal();
    assert.match(await manager.next(), /^STOPPING=1\n/);
    assert.equal((await service.ended).code, 0);
  });

  test('sends to the watchdog during its stop too', async () => {
    using manager = new NotifySocket('abstract');
    const env = { NOTIFY_SOCKET: manager.address, WATCHDOG_USEC: '100000' };
    await using service = new LifeService({ options: { ...QUICK, deadline: 20_000 } }, env);
    const port = await service.next('port');
    const { answer } = await service.begin('/slow', port);
    await manager.gets('WATCHDOG=1');
    service.signal();
    await stoppingOf(manager);
    await manager.gets('WATCHDOG=1');
    service.order({ do: 'answer' });
    await answer;
    assert.equal((await service.ended).code, 0);
  });

  test('has a deadline of a minute', async () => {
    using manager = new NotifySocket('abstract');
    await using service = new LifeService({ options: QUICK }, { NOTIFY_SOCKET: manager.address });
    const port = await service.next('port');
    await service.begin('/slow', port);
    service.signal();
    const time = extension(await stoppingOf(manager));
    assert.ok(time > 60_000 && time <= 65_000, `${time} ms`);
  });
});

suite('several services of one process under systemd', () => {
  test('have a deadline of a minute each', async () => {
    using manager = new NotifySocket('abstract');
    const env = { NOTIFY_SOCKET: manager.address };
    await using program = startService('lifecycle/several-services', { args: ['at once'], env });
    await manager.gets('READY=1\nSTATUS=ready');
    await manager.gets('STATUS=ready');
    process.kill(program.pid, 'SIGTERM');
    for (const service of ['one', 'the other']) {
      const time = extension(await stoppingOf(manager));
      assert.ok(time > 60_000 && time <= 65_000, `${time} ms: ${service}`);
    }
    assert.deepEqual(await program.ended, ENDED_WELL);
  });

  test('and the watchdog are reported too if one begins when another has closed', async () => {
    using manager = new NotifySocket('abstract');
    const env = { NOTIFY_SOCKET: manager.address, WATCHDOG_USEC: '100000' };
    await using program = startService('lifecycle/several-services', { args: ['later'], env });
    await manager.gets('READY=1\nSTATUS=ready');
    await stoppingOf(manager);
    await manager.gets('READY=1\nSTATUS=ready');
    await manager.gets('WATCHDOG=1');
    process.kill(program.pid, 'SIGTERM');
    assert.ok(extension(await stoppingOf(manager)) > 60_000);
    assert.deepEqual(await program.ended, ENDED_WELL);
  });
});

/** The next message about a service that stops. */
async function stoppingOf(manager: NotifySocket): Promise<string> {
  return manager.skipTo('STOPPING', (message) => message.startsWith('STOPPING=1'));
}
