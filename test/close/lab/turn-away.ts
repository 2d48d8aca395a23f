import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { CloseReport, ListenerReport } from '../../../src/index.ts';
import type { Proof } from '../../harness/proof.ts';
import type { User } from './close-server-driver.ts';
import type { CloseServerSetup, How, SentOptions } from './close-server-messages.ts';
import { halfOpen, queuedWithRequest } from './place.ts';
import { connect, openScene, RESET, type Scene, type Scenery, SERVED } from './scene.ts';

/** What the clients of one close saw. */
export interface Core {
  readonly scene: Scene;
  readonly halfOpen: readonly { readonly ended: string; readonly received: string }[];
  readonly queued: readonly { readonly ended: string; readonly received: string }[];
  /** What became of clients that came when the gate was shut. */
  readonly newcomers: readonly string[];
}

/**
 * The core of every close: for each of the addresses a client is half-open, its final ACK held on the wire, another is
 * queued with its request, and a third comes when the gate is shut.
 */
export async function closeAtTheCore(
  scenery: Pick<Scenery, 'lab' | 'client'>,
  how: How,
  setup: Partial<CloseServerSetup> = {},
  options: SentOptions = {},
  hosts: readonly string[] = [],
  user: User = {},
): Promise<Core> {
  const scene = await openScene(scenery, how, setup, user);
  const targets = hosts.length === 0 ? [scene.host] : hosts;
  const placed = await scene.server.shutAfter({ how, options }, async () => ({
    halfOpen: await Promise.all(targets.map((host) => halfOpen(scene, host))),
    queued: await Promise.all(targets.map((host) => queuedWithRequest(scene, host))),
  }));
  const newcomers = await Promise.all(targets.map((host) => connect(scene, { host, send: 'request' }).connected));
  for (const { goOn } of placed.halfOpen) await goOn();
  return {
    scene,
    halfOpen: await Promise.all(placed.halfOpen.map(({ connection }) => connection.closed)),
    queued: await Promise.all(placed.queued.map(({ connection }) => connection.closed)),
    newcomers,
  };
}

/** Checks that all who were connected were served and the others refused, and that `clients` of each were really there. */
export async function checkNobodyLost(
  core: Core,
  clients = 1,
): Promise<{ report: CloseReport; listener: ListenerReport }> {
  const report = await core.scene.server.next('report');
  const listener = report.listeners[0]!;
  const all = (outcome: typeof SERVED): unknown[] => Array.from({ length: clients }, () => outcome);
  assert.deepEqual(core.halfOpen, all(SERVED));
  assert.deepEqual(core.queued, all(SERVED));
  assert.deepEqual(
    core.newcomers,
    Array.from({ length: clients }, () => 'ECONNREFUSED'),
  );
  const { halfOpen, queued, abandoned } = listener;
  assert.deepEqual({ halfOpen, queued, abandoned }, { halfOpen: clients, queued: clients, abandoned: 0 });
  assert.equal(report.outcome, 'complete');
  assert.equal(report.connections.fromQueues, 2 * clients);
  assert.deepEqual(report.connections.cut, []);
  return { report, listener };
}

/** Checks that a plain close in the same state reset everybody who was connected, and notes both for the claim. */
export function noteProof(t: TestContext, proof: Proof, graceful: Core, plain: Core): void {
  const lost = [...plain.halfOpen, ...plain.queued];
  assert.deepEqual(
    lost,
    lost.map(() => RESET),
  );
  proof.held(t, { halfOpen: graceful.halfOpen.length, queued: graceful.queued.length });
  proof.lost(t, lost.length);
}
