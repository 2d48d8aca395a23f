import { describe, it } from 'node:test';
import { otherNodes } from '../harness/other-nodes.ts';
import { prove } from '../harness/proof.ts';
import { assertExactlyOnce } from './channel-service-driver.ts';
import { AT_ONCE, restart } from './restart-service.ts';

const CLIENTS = 20;

for (const { title, path, missing } of otherNodes) {
  describe(`A service with a channel that is restarted, on ${title}`, { skip: missing, timeout: 300_000 }, () => {
    const proof = prove(`clients of a channel whose service is restarted, on ${title}`);

    it('answers every request exactly once', async (t) => {
      const { result, processed, farewells } = await restart({
        atSigterm: 'lastCall',
        times: 2,
        clients: CLIENTS,
        node: path,
      });
      assertExactlyOnce(result, processed);
      for (const { said } of farewells) proof.held(t, { connections: said, 'under way': CLIENTS * AT_ONCE });
      t.diagnostic(`${result.done.length} requests`);
    });

    it('leaves some outcomes unknown after a plain close (control)', async (t) => {
      const { result } = await restart({ atSigterm: 'close plainly', times: 1, clients: CLIENTS, node: path });
      proof.lost(t, result.others.filter(({ said }) => said === 'ERR_OUTCOME_UNKNOWN').length);
    });
  });
}
