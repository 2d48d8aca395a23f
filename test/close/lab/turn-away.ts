import assert from 'node:assert/strict';
import type { Lab } from '../../lab/lab.ts';
import type { LabClient } from '../../lab/lab-client.ts';
import type { CloseReport, ListenerReport } from '../../../src/index.ts';
import type { CloseServerSetup, How, SentOptions } from './close-server-messages.ts';
import { halfOpen, queuedWithRequest } from './place.ts';
import { connect, openScene, type Scene, SERVED } from './scene.ts';

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
  scenery: { readonly lab: Lab; readonly client: LabClient },
  how: How,
  setup: Partial<CloseServerSetup> = {},
  options: SentOptions = {},
  hosts: readonly string[] = [],
  user: { readonly uid?: number; readonly gid?: number } = {},
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
  const { report } = await core.scene.server.next('report');
  const listener = report.listeners[0]!;
  const all = (outcome: typeof SERVED): unknown[] => Array.from({ length: clients }, () => outcome);
  assert.deepEqual(core.halfOpen, all(SERVED));
  assert.deepEqual(core.queued, all(SERVED));
  assert.deepEqual(
    core.newcomers,
    Array.from({ length: clients }, () => 'ECONNREFUSED'),
  );
  assert.deepEqual([listener.halfOpen, listener.queued, listener.abandoned], [clients, clients, 0]);
  assert.equal(report.outcome, 'complete');
  assert.equal(report.connections.fromQueues, 2 * clients);
  assert.deepEqual(report.connections.cut, []);
  return { report, listener };
}
