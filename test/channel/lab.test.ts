import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { count } from '../harness/counts.ts';
import type { ChannelCallersConfig } from '../fixtures/channel/channel-callers.ts';
import type { ChannelServiceConfig } from '../fixtures/channel/channel-service.ts';
import { type Direction, type Lab, labMissing, openLab } from '../lab/lab.ts';
import { answered, assertExactlyOnce, callersProgram, hear, order, serviceProgram, stop } from './called-service.ts';

const PORT = 7_000;

// The farewell of a connection, its answer, the last replies, both FINs and what acknowledges them are fewer.
const PACKETS = count(24, 6);

describe('The farewell of a channel over a wire', { skip: labMissing, timeout: 300_000 }, () => {
  let lab: Lab;

  before(async () => {
    lab = await openLab({ delay: 5 });
  });
  after(() => lab.close());

  for (const direction of ['to client', 'to server'] as const) {
    it(`keeps every request exactly once, whichever packet ${direction} is lost around it`, async (t) => {
      const { service, callers } = await start(lab, { clients: 1, atOnce: 20 });
      for (let packet = 1; packet <= PACKETS; packet++) {
        await answered(callers, 40);
        const { farewells, cut } = await closeWithLoss(lab, service, direction, packet);
        assert.deepEqual([farewells, cut], [{ said: 1, answered: 1, unanswered: 0 }, []], `packet ${packet}`);
        await hear(service, 'port');
      }
      const told = await stop(callers);
      assertExactlyOnce(told, await order(service, 'count', 'processed'));
      t.diagnostic(`${PACKETS} closes, ${told.done.length} requests`);
      await end(service, callers);
    });
  }

  it('keeps every request exactly once where many connections lose one packet in twenty', async (t) => {
    const { service, callers } = await start(lab, { clients: 50, atOnce: 10 });
    await lab.wire.shape({ loss: 0.05, seed: 3 });
    t.after(() => lab.wire.shape({ loss: 0 }));
    for (let close = 0; close < count(20, 1); close++) {
      await answered(callers, 500);
      const report = await order(service, 'close', 'report');
      assert.ok(report !== 'closed plainly' && report.connections.farewells.unanswered === 0, JSON.stringify(report));
      await hear(service, 'port');
    }
    const told = await stop(callers);
    assertExactlyOnce(told, await order(service, 'count', 'processed'));
    await end(service, callers);
  });

  it('loses sight of some where the service is closed plainly (control)', async () => {
    const { service, callers } = await start(lab, { clients: 1, atOnce: 20 });
    await answered(callers, 40);
    await order(service, 'close plainly', 'report');
    await hear(service, 'port');
    const { others } = await stop(callers);
    assert.ok(others.length >= 1 && others.every(({ said }) => said === 'ERR_OUTCOME_UNKNOWN'), JSON.stringify(others));
    await end(service, callers);
  });

  it('does those with a key exactly once even then: the next connection asks how they ended', async (t) => {
    const { service, callers } = await start(lab, { clients: 5, atOnce: 20, exactlyOnce: true });
    for (let close = 0; close < 5; close++) {
      await answered(callers, 200);
      await order(service, 'close plainly', 'report');
      await hear(service, 'port');
    }
    const told = await stop(callers);
    assertExactlyOnce(told, await order(service, 'count', 'processed'));
    t.diagnostic(`5 plain closes, ${told.done.length} requests`);
    await end(service, callers);
  });

  it('is not answered by one that vanishes: the close ends at its deadline, and says so', async () => {
    const { service, callers } = await start(lab, { clients: 2, atOnce: 5, deadline: 1_500 });
    await answered(callers, 20);
    const gone = await lab.wire.rule({ direction: 'to server', packet: 'any', count: Infinity, action: 'drop' });
    const report = await order(service, 'close', 'report');
    await gone.remove();
    assert.ok(report !== 'closed plainly');
    const { outcome, duration, connections } = report;
    assert.equal(outcome, 'forced');
    assert.ok(duration < 5_000, `${duration} ms`);
    assert.deepEqual(connections.farewells, { said: 2, answered: 0, unanswered: 2 });
    assert.deepEqual(
      connections.cut.map(({ protocol, reason }) => [protocol, reason]),
      [
        ['channel', 'deadline'],
        ['channel', 'deadline'],
      ],
    );
    await end(service, callers);
  });
});

/** Closes, and loses the n-th packet after the order; returns what the report says. */
async function closeWithLoss(
  lab: Lab,
  service: ChildProcess,
  direction: Direction,
  packet: number,
): Promise<{ readonly farewells: unknown; readonly cut: unknown }> {
  const rule = await lab.wire.rule({ direction, packet: 'any', from: packet, action: 'drop' });
  const reported = order(service, 'close', 'report');
  await rule.next();
  const report = await reported;
  await rule.remove();
  assert.ok(report !== 'closed plainly');
  return report.connections;
}

async function start(
  lab: Lab,
  {
    deadline = 20_000,
    ...load
  }: Pick<ChannelCallersConfig, 'clients' | 'atOnce' | 'exactlyOnce'> & { readonly deadline?: number },
): Promise<{ readonly service: ChildProcess; readonly callers: ChildProcess }> {
  const host = lab.server.ipv4;
  const setup: ChannelServiceConfig = { host, port: PORT, takes: 10, atSigterm: 'listen again', deadline };
  const service = lab.server.fork(serviceProgram, [JSON.stringify(setup)]);
  await hear(service, 'port');
  const config: ChannelCallersConfig = { address: { host, port: PORT }, ...load, length: 400 };
  return { service, callers: lab.client.fork(callersProgram, [JSON.stringify(config)]) };
}

/** The port is free for the next. */
async function end(...programs: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    programs.map(async (program) => {
      const exited = new Promise((resolve) => program.once('exit', resolve));
      program.kill('SIGKILL');
      await exited;
    }),
  );
}
