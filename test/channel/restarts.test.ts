import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { count, isFull } from '../harness/counts.ts';
import { prove } from '../harness/proof.ts';
import { assertExactlyOnce } from './channel-service-driver.ts';
import { AT_ONCE, restart } from './restart-service.ts';

const CLIENTS = count(1_000, 100);

const proof = prove('clients of a channel whose service is restarted');

describe('A service with a channel that is restarted', { timeout: isFull ? 600_000 : 120_000 }, () => {
  it(`answers every request of ${CLIENTS} clients exactly once, ${AT_ONCE} at once each`, async (t) => {
    const { result, processed, farewells } = await restart({
      atSigterm: 'lastCall',
      times: count(20, 2),
      clients: CLIENTS,
    });
    assertExactlyOnce(result, processed);
    for (const farewell of farewells) assert.deepEqual(farewell, { said: CLIENTS, answered: CLIENTS, unanswered: 0 });
    for (const { said } of farewells) proof.held(t, { connections: said, 'under way': CLIENTS * AT_ONCE });
    t.diagnostic(`${farewells.length} restarts, ${result.done.length} requests, each done once`);
  });

  it('leaves some outcomes unknown after a plain close (control)', async (t) => {
    const { result } = await restart({ atSigterm: 'close plainly', times: 1, clients: CLIENTS });
    const unknown = result.others.filter(({ said }) => said === 'ERR_OUTCOME_UNKNOWN').length;
    assert.deepEqual({ unknown, others: result.others.length }, { unknown: CLIENTS * AT_ONCE, others: unknown });
    proof.lost(t, unknown);
  });
});
