import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { startCommand } from '../harness/processes.ts';
import { type Proof, prove } from '../harness/proof.ts';
import { type Host, labMissing } from '../lab/lab.ts';
import type { ListenTarget } from './lab/close-server-messages.ts';
import { LAB_TIMEOUT, openScenery, type Scenery } from './lab/scene.ts';
import { checkNobodyLost, closeAtTheCore, noteProof } from './lab/turn-away.ts';

/** The interface at each end of the wire. */
const DEVICE = 'wire0';
const options = { skip: labMissing, timeout: LAB_TIMEOUT };

const families = [
  { name: 'IPv4', listen: { host: '0.0.0.0' }, address: '0.0.0.0', clients: ['ipv4'] },
  { name: 'one IPv4 address', listen: { host: '10.77.0.2' }, address: '10.77.0.2', clients: ['ipv4'] },
  { name: 'IPv6', listen: { host: '::', ipv6Only: true }, address: '[::]', clients: ['ipv6'] },
  { name: 'one IPv6 address', listen: { host: 'fd77::2' }, address: '[fd77::2]', clients: ['ipv6'] },
  { name: 'both families', listen: { host: '::' }, address: '[::]', clients: ['ipv4', 'ipv6'] },
] as const;

for (const { name, listen, address, clients } of families) {
  const proof = prove(`clients of a listener on ${name}`);
  test(`a listener on ${name} loses nobody; a plain close resets all`, options, async (t) => {
    await using scenery = await openScenery();
    const hosts = clients.map((family) => scenery.lab.server[family]);
    await loseNobody(t, proof, scenery, listen, address, hosts);
  });
}

const linkLocal = prove('clients of a listener on a link-local IPv6 address');

test('a listener on a link-local IPv6 address loses nobody; a plain close resets all', options, async (t) => {
  await using scenery = await openScenery();
  const { client, server } = scenery.lab;
  await Promise.all([addAddress(client, 'fe80::1'), addAddress(server, 'fe80::2')]);
  const address = `fe80::2%${DEVICE}`;
  await loseNobody(t, linkLocal, scenery, { host: address }, `[${address}]`, [address]);
});

/** Of each host a half-open client and a queued one. */
async function loseNobody(
  t: TestContext,
  proof: Proof,
  scenery: Scenery,
  listen: ListenTarget,
  address: string,
  hosts: readonly string[],
): Promise<void> {
  const [graceful, plain] = await Promise.all([
    closeAtTheCore(scenery, 'graceful', { listen }, {}, hosts),
    closeAtTheCore(scenery, 'plain', { listen }, {}, hosts),
  ]);
  const { listener } = await checkNobodyLost(graceful, hosts.length);
  assert.equal(listener.gate, 'refuse');
  assert.equal(listener.address, `${address}:${graceful.scene.port}`);
  assert.equal(plain.queued.length, hosts.length);
  noteProof(t, proof, graceful, plain);
}

async function addAddress(host: Host, address: string): Promise<void> {
  await using ip = startCommand(['ip', '-6', 'address', 'add', `${address}/64`, 'dev', DEVICE, 'nodad'], { host });
  const { code, stderr } = await ip.ended;
  assert.equal(code, 0, stderr);
}
