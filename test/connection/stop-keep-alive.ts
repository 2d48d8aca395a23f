import { fileURLToPath } from 'node:url';
import type { CloseReport } from '../../src/index.ts';
import type { StormResult } from '../../src/storm/storm.ts';
import type { KeepAliveSetup, KeepAliveTold } from '../fixtures/connection/http1/http-keep-alive-server.ts';
import type { KeepAliveStorm, StormTold, WindDown } from '../fixtures/connection/http1/http-storm-clients.ts';
import { openLab, type Shape } from '../lab/lab.ts';
import { ProgramMessages } from './program-messages.ts';

const serverProgram = fileURLToPath(new URL('../fixtures/connection/http1/http-keep-alive-server.js', import.meta.url));
const clientsProgram = fileURLToPath(new URL('../fixtures/connection/http1/http-storm-clients.js', import.meta.url));

/** A load of keep-alive clients on the wire between them and the server. */
export interface Load {
  readonly wire: Shape;
  readonly storm: Omit<KeepAliveStorm, 'target'>;
  /** Milliseconds that the server takes for an answer. */
  readonly answerAfter?: number;
  /** The share of the clients that must have been accepted before the stop; a SYN may be lost. */
  readonly accepted: number;
}

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
  const setup: KeepAliveSetup = {
    way,
    answerAfter: load.answerAfter ?? 0,
    stopAfter: load.accepted * load.storm.clients,
  };
  const server = lab.server.fork(serverProgram, [JSON.stringify(setup)]);
  const client = lab.client.fork(clientsProgram);
  const [serverTold, clientTold] = [new ProgramMessages<KeepAliveTold>(server), new ProgramMessages<StormTold>(client)];

  const port = await serverTold.next('port');
  const storm: KeepAliveStorm = { ...load.storm, target: { host: lab.server.ipv4, port }, seed };
  client.send(storm);
  if (!(await clientTold.next('enough'))) throw new Error('the storm ended before the stop');
  server.send('stop');
  // Node lets a connection that was busy go on for ever. Who was lost knows it after one pause and one round trip.
  const windDown: WindDown = { after: 1_000 };
  if (way !== 'lastcall') client.send(windDown);
  const [{ handled, report }, result] = await Promise.all([serverTold.next('stopped'), clientTold.next('result')]);
  return { result, handled, report };
}
