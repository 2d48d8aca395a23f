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
import { within } from '../harness/wait.ts';
import { type Host, type Lab, labMissing, openLab } from '../lab/lab.ts';
import { LabClient, nextLocalPort } from '../lab/lab-client.ts';
import type { Ended } from '../lab/lab-connection.ts';

type How = StopUnderStorm['how'];

/** On loopback the server is stopped when a third of 300 clients wait. */
const DEEP: StormState = { queued: 100, halfOpen: 0 };
/** Over the wire when some wait, and so many handshakes are under way: those that the test holds, and the storm's own. */
const HALF_OPEN: StormState = { queued: 20, halfOpen: 5 };

/** A stop over the wire, and how it ended for the clients whose handshakes were held until the server was stopping. */
interface StoppedOverTheWire extends StoppedUnderStorm {
  readonly held: readonly Ended[];
}

/** Checks that nobody was lost in the state in which the server was stopped, and notes it for the claim. */
export function checkNobodyLost(t: TestContext, proof: Proof, { result, report }: StoppedUnderStorm): void {
  assert.equal(result.lost, 0, JSON.stringify({ result, report }));
  assert.equal(result.counts.failed, 0, JSON.stringify(result));
  assert.ok(result.counts.served > 0);
  assert.ok(report);
  // Of SYN cookies the kernel does not tell whose they were: a busy host may leave a doubt, though nobody is lost.
  const others = report.doubts.filter((doubt) => !doubt.includes('SYN cookies'));
  t.diagnostic(`doubts: ${JSON.stringify(report.doubts)}`);
  assert.deepEqual({ cut: report.connections.cut, others }, { cut: [], others: [] });
  const { gate, reason, queued, halfOpen } = report.listeners[0]!;
  assert.equal(gate, 'refuse', reason);
  proof.held(t, { queued, halfOpen });
}

/** Checks that the queue was deep when the gate shut. */
export function checkDeep({ report }: StoppedUnderStorm): void {
  const queued = report?.listeners[0]?.queued ?? 0;
  assert.ok(queued >= DEEP.queued, `the queue held ${queued} when the gate shut`);
}

/** Checks that handshakes were under way when the gate shut, and that whoever they were of was served. */
export function checkHalfOpen({ report, held }: StoppedOverTheWire): void {
  const halfOpen = report?.listeners[0]?.halfOpen ?? 0;
  assert.ok(halfOpen >= HALF_OPEN.halfOpen, `${halfOpen} were half-open when the gate shut`);
  for (const { received } of held) assert.match(received, /^HTTP\/1\.1 200 .*served/s);
}

/** Checks that a plain close reset whoever was in the queue, and notes it for the claim. */
export function checkReset(t: TestContext, proof: Proof, { result }: StoppedUnderStorm): void {
  assert.ok(result.counts.reset >= DEEP.queued, `${result.counts.reset} were reset`);
  proof.lost(t, result.counts.reset);
}

/** Checks that a plain close over the wire lost at least those in the queue, and notes it for the claim. */
export function checkLost(t: TestContext, proof: Proof, { result, held }: StoppedOverTheWire): void {
  assert.ok(result.lost >= HALF_OPEN.queued, `${result.lost} were lost`);
  for (const { received } of held) assert.equal(received, '');
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
export async function stopOverTheWire(how: How, loss: number, seed: number): Promise<StoppedOverTheWire> {
  await using lab = await openLab({ delay: 25, loss, seed });
  return await stopInLab(lab, how);
}

/** The same between hosts that may remember earlier stops. */
export async function stopInLab(lab: Lab, how: How): Promise<StoppedOverTheWire> {
  const client = await LabClient.start(lab.client);
  const held: Promise<Ended>[] = [];
  const place = async (port: number): Promise<() => Promise<void>> => {
    const clients = await Promise.all(
      Array.from({ length: HALF_OPEN.halfOpen }, () => holdHandshake(lab, client, port)),
    );
    held.push(...clients.map(({ closed }) => closed));
    return async () => void (await Promise.all(clients.map(({ goOn }) => goOn())));
  };
  const stop = { how, host: lab.server.ipv4, clients: 300, state: HALF_OPEN, place };
  const stopped = await stopOn(lab.server, lab.client, stop);
  return { ...stopped, held: await within('the end of the held clients', Promise.all(held)) };
}

/** A client that has connected; its final ACK, and its request, wait on the wire until it goes on. */
async function holdHandshake(
  lab: Lab,
  client: LabClient,
  port: number,
): Promise<{ closed: Promise<Ended>; goOn: () => Promise<void> }> {
  const localPort = nextLocalPort();
  // All but its SYN, which may be lost and sent again.
  const rules = await Promise.all(
    (['ACK', 'data'] as const).map((packet) =>
      lab.wire.rule({ direction: 'to server', packet, clientPort: localPort, count: Infinity, action: 'hold' }),
    ),
  );
  const send = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
  const { connected, closed } = client.connect({ host: lab.server.ipv4, port, localPort, send });
  assert.equal(await within('a client is connected', connected), 'connected');
  return { closed, goOn: async () => void (await Promise.all(rules.map((rule) => rule.remove()))) };
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
