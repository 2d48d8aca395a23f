import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ChannelCallersConfig } from '../fixtures/channel/channel-callers.ts';
import type { ChannelServiceConfig } from '../fixtures/channel/channel-service.ts';
import { count } from '../harness/counts.ts';
import { prove } from '../harness/proof.ts';
import { within } from '../harness/wait.ts';
import type { CloseReport } from '../../src/index.ts';
import { type Direction, type Lab, labMissing, openLab } from '../lab/lab.ts';
import { assertExactlyOnce, ChannelCallers, ChannelService } from './channel-service-driver.ts';

const PORT = 7_000;

// More than the farewell of a connection, its answer, the last replies, both FINs and their acknowledgements.
const PACKETS = count(24, 6);

describe('The farewell of a channel over a wire', { skip: labMissing, timeout: 300_000 }, () => {
  const losingPackets = prove('a channel whose farewell, its answer or a last reply is lost on the wire');
  const losingOften = prove('50 channels that lose one packet in twenty');
  const withKeys = prove('requests with a key over a wire, whose server is closed plainly');
  let lab: Lab;

  before(async () => {
    lab = await openLab({ delay: 5 });
  });
  after(() => lab.close());

  for (const direction of ['to client', 'to server'] as const) {
    it(`keeps every request exactly once, no matter which packet ${direction} is lost around it`, async (t) => {
      await using service = await startService(lab);
      await using callers = startCallers(lab, { clients: 1, atOnce: 20 });
      for (let packet = 1; packet <= PACKETS; packet++) {
        await callers.answered(40);
        const { farewells, cut } = (await closeWithLoss(lab, service, direction, packet)).connections;
        const expected = { farewells: { said: 1, answered: 1, unanswered: 0 }, cut: [] };
        assert.deepEqual({ farewells, cut }, expected, `packet ${packet}`);
        losingPackets.held(t, { 'packets lost': 1, connections: farewells.said });
      }
      const result = await callers.stop();
      assertExactlyOnce(result, await service.countProcessed());
      t.diagnostic(`${PACKETS} closes, ${result.done.length} requests`);
    });
  }

  it('keeps every request exactly once while many connections lose one packet in twenty', async (t) => {
    await using service = await startService(lab);
    await using callers = startCallers(lab, { clients: 50, atOnce: 10 });
    await lab.wire.shape({ loss: 0.05, seed: 3 });
    try {
      for (let close = 0; close < count(20, 1); close++) {
        await callers.answered(10);
        const { said, unanswered } = (await service.close()).connections.farewells;
        assert.deepEqual({ said, unanswered }, { said: 50, unanswered: 0 });
        losingOften.held(t, { connections: said });
      }
      const result = await callers.stop();
      assertExactlyOnce(result, await service.countProcessed());
    } finally {
      await lab.wire.shape({ loss: 0 });
    }
  });

  it('leaves all requests under way unknown after a plain close (control)', async (t) => {
    const unknown = await closePlainly(lab, { clients: 1, atOnce: 20 });
    losingPackets.lost(t, unknown);
    withKeys.lost(t, unknown);
  });

  it('leaves all requests under way of many clients unknown after a plain close (control)', async (t) => {
    await lab.wire.shape({ loss: 0.05, seed: 3 });
    try {
      losingOften.lost(t, await closePlainly(lab, { clients: 50, atOnce: 10 }));
    } finally {
      await lab.wire.shape({ loss: 0 });
    }
  });

  it('processes requests with a key exactly once even then, because the next connection asks how they ended', async (t) => {
    await using service = await startService(lab);
    await using callers = startCallers(lab, { clients: 5, atOnce: 20, exactlyOnce: true });
    for (let close = 0; close < 5; close++) {
      await callers.answered(40);
      // In every other round all requests are under way at the close. In the others some replies are on their way.
      if (close % 2 === 0) await service.holdBack(5 * 20);
      await service.closePlainly();
      if (close % 2 === 0) withKeys.held(t, { 'under way': 5 * 20 });
    }
    const result = await callers.stop();
    assertExactlyOnce(result, await service.countProcessed());
    t.diagnostic(`5 plain closes, ${result.done.length} requests`);
  });

  it('is not answered by a client that vanishes, and the close ends at its deadline and reports that', async () => {
    await using service = await startService(lab, { deadline: 1_500 });
    await using callers = startCallers(lab, { clients: 2, atOnce: 5 });
    await callers.answered(10);
    const gone = await lab.wire.rule({ direction: 'to server', packet: 'any', count: Infinity, action: 'drop' });
    const { outcome, duration, connections } = await service.close();
    await gone.remove();
    assert.equal(outcome, 'forced');
    assert.ok(duration < 5_000, `${duration} ms`);
    assert.deepEqual(connections.farewells, { said: 2, answered: 0, unanswered: 2 });
    const cut = { protocol: 'channel', reason: 'deadline' };
    assert.deepEqual(
      connections.cut.map(({ protocol, reason }) => ({ protocol, reason })),
      [cut, cut],
    );
  });
});

/** Closes, and drops the n-th packet after that. */
async function closeWithLoss(
  lab: Lab,
  service: ChannelService,
  direction: Direction,
  packet: number,
): Promise<CloseReport> {
  const rule = await lab.wire.rule({ direction, packet: 'any', from: packet, action: 'drop' });
  const [report] = await Promise.all([service.close(), within(`packet ${packet} ${direction}`, rule.next())]);
  await rule.remove();
  return report;
}

/** Closes plainly while all requests are under way. Resolves with the number of unknown outcomes, which must be all. */
async function closePlainly(lab: Lab, load: { readonly clients: number; readonly atOnce: number }): Promise<number> {
  await using service = await startService(lab);
  await using callers = startCallers(lab, load);
  await callers.answered(1);
  await service.holdBack(load.clients * load.atOnce);
  await service.closePlainly();
  const { others } = await callers.stop();
  const unknown = others.filter(({ said }) => said === 'ERR_OUTCOME_UNKNOWN').length;
  const expected = { unknown: load.clients * load.atOnce, others: unknown };
  assert.deepEqual({ unknown, others: others.length }, expected);
  return unknown;
}

function startService(lab: Lab, { deadline = 20_000 }: { readonly deadline?: number } = {}): Promise<ChannelService> {
  const config: ChannelServiceConfig = {
    host: lab.server.ipv4,
    port: PORT,
    takes: 10,
    atSigterm: 'listen again',
    deadline,
  };
  return ChannelService.start(config, { host: lab.server });
}

function startCallers(
  lab: Lab,
  load: Pick<ChannelCallersConfig, 'clients' | 'atOnce' | 'exactlyOnce'>,
): ChannelCallers {
  const config: ChannelCallersConfig = { address: { host: lab.server.ipv4, port: PORT }, ...load, length: 400 };
  return new ChannelCallers(config, { host: lab.client });
}
