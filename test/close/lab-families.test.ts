import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labMissing } from '../lab/lab.ts';
import { openScenery, RESET } from './lab/scene.ts';
import { checkNobodyLost, closeAtTheCore } from './lab/turn-away.ts';

const families = [
  { name: 'IPv4', listen: { host: '0.0.0.0' }, address: '0.0.0.0', clients: ['ipv4'] },
  { name: 'one IPv4 address', listen: { host: '10.77.0.2' }, address: '10.77.0.2', clients: ['ipv4'] },
  { name: 'IPv6', listen: { host: '::', ipv6Only: true }, address: '[::]', clients: ['ipv6'] },
  { name: 'one IPv6 address', listen: { host: 'fd77::2' }, address: '[fd77::2]', clients: ['ipv6'] },
  { name: 'both families', listen: { host: '::' }, address: '[::]', clients: ['ipv4', 'ipv6'] },
] as const;

for (const { name, listen, address, clients } of families) {
  test(`a listener on ${name} loses nobody; a plain close resets all`, {
    skip: labMissing,
    timeout: 30_000,
  }, async ({ signal }) => {
    await using scenery = await openScenery(signal);
    const hosts = clients.map((family) => scenery.lab.server[family]);
    const [graceful, plain] = await Promise.all([
      closeAtTheCore(scenery, 'graceful', { listen }, {}, hosts),
      closeAtTheCore(scenery, 'plain', { listen }, {}, hosts),
    ]);
    const { listener } = await checkNobodyLost(graceful, clients.length);
    assert.equal(listener.gate, 'refuse');
    assert.equal(listener.address, `${address}:${graceful.scene.port}`);
    assert.deepEqual(
      [...plain.halfOpen, ...plain.queued],
      [...clients, ...clients].map(() => RESET),
    );
  });
}
