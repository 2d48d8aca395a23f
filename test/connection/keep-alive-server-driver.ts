import assert from 'node:assert/strict';
import type { CloseReport } from '../../src/index.ts';
import type { StormResult } from '../../src/storm/storm.ts';
import type { KeepAliveSetup, KeepAliveTold } from '../fixtures/connection/http1/http-keep-alive-server.ts';
import type { KeepAliveStorm, StormTold, WindDown } from '../fixtures/connection/http1/http-storm-clients.ts';
import { startFixture } from '../harness/processes.ts';
import { openLab, type Shape } from '../lab/lab.ts';

export const CLIENTS = 300;

/** The share of the clients that must have been accepted before the stop; a SYN may be lost. */
const ACCEPTED = 0.75;

/** A load of keep-alive clients on the wire between them and the server. */
export interface Load {
  readonly wire: Shape;
  readonly storm: Pick<KeepAliveStorm, 'pipeline' | 'bodyBytes' | 'tellAfter'>;
  /** Milliseconds that the server takes for an answer. */
  readonly answerAfter?: number;
}

export const ONE_BY_ONE: Load = { wire: { delay: 10 }, storm: { tellAfter: 2 * CLIENTS } };

export interface StoppedKeepAlive {
  readonly result: StormResult;
  /** Requests that the application was given. */
  readonly handled: number;
  /** lastcall's. */
  readonly report: CloseReport | undefined;
}

/** Starts the server and its clients on either end of a wire, stops the server in the middle, and waits for the end of all. */
export async function stopKeepAlive(way: KeepAliveSetup['way'], load: Load, seed: number): Promise<StoppedKeepAlive> {
  await using lab = await openLab({ ...load.wire, seed });
  const setup: KeepAliveSetup = { way, answerAfter: load.answerAfter ?? 0, stopAfter: ACCEPTED * CLIENTS };
  await using server = startFixture<KeepAliveTold>('connection/http1/http-keep-alive-server', {
    host: lab.server,
    args: [JSON.stringify(setup)],
  });
  await using client = startFixture<StormTold>('connection/http1/http-storm-clients', { host: lab.client });

  const port = await server.next('port');
  const storm: KeepAliveStorm = {
    ...load.storm,
    clients: CLIENTS,
    thinkTime: [50, 150],
    // Longer than everyone's turn takes where the machine has other things to do. In a control some wait for nothing.
    timeout: way === 'lastcall' ? 50_000 : 10_000,
    duration: 60_000,
    target: { host: lab.server.ipv4, port },
    seed,
  };
  client.send(storm);
  if (!(await client.next('enough'))) throw new Error('the storm ended before the stop');
  server.send({ stop: true });
  // Node lets a connection that was busy go on for ever. Who was lost knows it after one pause and one round trip.
  const windDown: WindDown = { after: 1_000 };
  if (way !== 'lastcall') client.send(windDown);
  const [{ handled, report }, result] = await Promise.all([server.next('stopped'), client.next('result')]);
  return { result, handled, report };
}

export function assertNothingLost({ result, handled, report }: StoppedKeepAlive, { storm }: Load): void {
  const { counts } = result;
  const told = JSON.stringify({ result, handled, report });
  assert.equal(result.lost, 0, told);
  // No connection ended but after an answer that said so.
  const { idleClosed, failed, serverErrors } = counts;
  assert.deepEqual({ idleClosed, failed, serverErrors }, { idleClosed: 0, failed: 0, serverErrors: 0 }, told);
  // Whatever reached the application was answered in whole, pipelined or not; what did not may be asked again elsewhere.
  assert.equal(handled, counts.served, told);

  assert.equal(report?.outcome, 'complete', told);
  assert.equal(report.listeners[0]?.gate, 'refuse', told);
  assert.equal(report.connections.lateRequests, 0, told);
  // The path was walked: nearly everyone was there when the close began, was served to the end, and was then turned away.
  const { atStart, fromQueues, ended } = report.connections;
  assert.ok(atStart >= ACCEPTED * CLIENTS, told);
  const { connections } = result;
  assert.deepEqual({ taken: atStart + fromQueues, ended }, { taken: connections, ended: connections }, told);
  assert.equal(counts.refused, CLIENTS * (storm.pipeline ?? 1), told);
}

/** How many requests a control lost. */
export function countLost({ result }: StoppedKeepAlive): number {
  assert.ok(result.lost >= 10, JSON.stringify(result));
  assert.equal(result.counts.failed, 0, JSON.stringify(result));
  return result.lost;
}
