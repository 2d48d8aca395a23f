// Stops of the fixture storm/storm-server under a storm of clients, each in processes of their own.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { fixture, forkNode, type NodeOptions, startFixture } from '../harness/processes.ts';
import type { Proof } from '../harness/proof.ts';
import {
  type StopUnderStorm,
  type StoppedUnderStorm,
  type StormRunnerSends,
  type StormServerSends,
  type StormState,
  stopUnderStorm,
} from '../harness/storms.ts';
import { type Host, labMissing, openLab } from '../lab/lab.ts';

type How = StopUnderStorm['how'];

/** On loopback the server is stopped when a third of 300 clients wait. */
const DEEP: StormState = { queued: 100, halfOpen: 0 };
/** Over the wire when some wait, and some have not completed their handshakes. */
const HALF_OPEN: StormState = { queued: 20, halfOpen: 5 };

/** Checks that nobody was lost in the state in which the server was stopped, and notes it for the claim. */
export function checkNobodyLost(t: TestContext, proof: Proof, { result, report }: StoppedUnderStorm): void {
  assert.equal(result.lost, 0, JSON.stringify(result));
  assert.equal(result.counts.failed, 0, JSON.stringify(result));
  assert.ok(result.counts.served > 0);
  assert.equal(report?.outcome, 'complete');
  const { gate, reason, queued, halfOpen } = report.listeners[0]!;
  assert.equal(gate, 'refuse', reason);
  proof.held(t, { queued, halfOpen });
}

/** Checks that the queue was deep when the gate shut. */
export function checkDeep({ report }: StoppedUnderStorm): void {
  const queued = report?.listeners[0]?.queued ?? 0;
  assert.ok(queued >= DEEP.queued, `the queue held ${queued} when the gate shut`);
}

/** Checks that handshakes were under way when the gate shut. */
export function checkHalfOpen({ report }: StoppedUnderStorm): void {
  assert.ok((report?.listeners[0]?.halfOpen ?? 0) > 0, 'no half-open connection was there');
}

/** Checks that a plain close reset whoever was in the queue, and notes it for the claim. */
export function checkReset(t: TestContext, proof: Proof, { result }: StoppedUnderStorm): void {
  assert.ok(result.counts.reset >= DEEP.queued, `${result.counts.reset} were reset`);
  proof.lost(t, result.counts.reset);
}

/** Checks that a plain close over the wire lost at least those in the queue, and notes it for the claim. */
export function checkLost(t: TestContext, proof: Proof, { result }: StoppedUnderStorm): void {
  assert.ok(result.lost >= HALF_OPEN.queued, `${result.lost} were lost`);
  proof.lost(t, result.lost);
}

/** Stops a server on this host's loopback. */
export async function stopHere(
  how: How,
  clients: number,
  options: NodeOptions = {},
  program: string = fixture('storm/storm-server'),
): Promise<StoppedUnderStorm> {
  await using server = forkNode<StormServerSends>(program, { ...options, args: ['127.0.0.1'] });
  await using client = startFixture<StormRunnerSends>('storm/storm-runner');
  return await stopUnderStorm({ how, server, client, host: '127.0.0.1', clients, state: DEEP });
}

/**
 * Stops a server on a loopback that is theirs alone, where there can be one: more clients than the queue holds have the kernel
 * send SYN cookies, and those are counted for all listeners of a network namespace, so that closes in other tests would wait for
 * them.
 */
export async function stopApart(how: How, clients: number): Promise<StoppedUnderStorm> {
  if (labMissing !== false) return stopHere(how, clients);
  await using lab = await openLab();
  return await stopOn(lab.server, lab.server, { how, host: '127.0.0.1', clients, state: DEEP });
}

/** Stops a server with 300 clients at the other end of a wire of 25 ms one way; `loss` is the share of packets, each way. */
export async function stopOverTheWire(how: How, loss: number, seed: number): Promise<StoppedUnderStorm> {
  await using lab = await openLab({ delay: 25, loss, seed });
  return await stopOn(lab.server, lab.client, { how, host: lab.server.ipv4, clients: 300, state: HALF_OPEN });
}

async function stopOn(
  serverHost: Host,
  clientHost: Host,
  stop: Omit<StopUnderStorm, 'server' | 'client'>,
): Promise<StoppedUnderStorm> {
  await using server = startFixture<StormServerSends>('storm/storm-server', { host: serverHost, args: [stop.host] });
  await using client = startFixture<StormRunnerSends>('storm/storm-runner', { host: clientHost });
  return await stopUnderStorm({ ...stop, server, client });
}
