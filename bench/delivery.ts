import type { Lab } from '../test/lab/lab.ts';
import { ClientProcess } from './client-process.ts';
import type { Launch } from './launch.ts';
import { HELD_PATH } from './messages.ts';
import type { Run } from './run.ts';
import { ServerProcess } from './server-process.ts';
import { type Spread, spreadOf } from './statistics.ts';

/** Milliseconds on the wire, each way. */
const DELAY = 10;

/** From the last byte of the last response, as its client reads it, until lastcall's promise resolves; milliseconds. */
export interface DeliveryFigures {
  readonly title: string;
  readonly roundTrip: number;
  readonly time: Spread;
}

interface Case {
  readonly connections: number;
  /** In the lab, or on the loopback interface. */
  readonly lab?: Lab;
}

/** Closes with requests under way, which are answered during the close. */
export async function measureDelivery(run: Run): Promise<readonly DeliveryFigures[]> {
  // Only now: it makes a lab at once, to find out whether it can.
  const { labMissing, openLab } = await import('../test/lab/lab.ts');
  await using lab = labMissing === false ? await openLab({ delay: DELAY }) : undefined;
  const cases: readonly Case[] = [
    { connections: 1 },
    { connections: 100 },
    ...(lab === undefined
      ? []
      : [
          { connections: 1, lab },
          { connections: 100, lab },
        ]),
  ];
  const results = new Map(cases.map((one) => [one, new Array<number>()]));
  for (let round = 1; round <= run.delivery; round++) {
    run.progress(`last response to promise: round ${round} of ${run.delivery}`);
    for (const [one, times] of results) times.push(await closeOnce(one, run.signal));
  }
  return [...results].map(([one, times]) => ({
    title: titleOf(one),
    roundTrip: one.lab === undefined ? 0 : 2 * DELAY,
    time: spreadOf(times),
  }));
}

async function closeOnce({ connections, lab }: Case, signal: AbortSignal): Promise<number> {
  const host = lab?.server.ipv4 ?? '127.0.0.1';
  const server = await ServerProcess.start('lastcall', signal, { host, ...on(lab?.server) });
  const clients = new ClientProcess({
    host,
    port: server.port,
    connections,
    path: HELD_PATH,
    signal,
    ...on(lab?.client),
  });
  await server.ask('hold', 'holding', connections);
  const { doneAt } = await server.ask('stop', 'stopped');
  const lastByteAt = await clients.answered();
  const { reset } = await clients.gone();
  if (reset > 0) throw new Error(`${reset} of ${connections} clients were reset`);
  await Promise.all([server.exit(), clients.end()]);
  return doneAt - lastByteAt;
}

function on(host: Lab['server'] | undefined): { readonly launch?: Launch } {
  return host === undefined ? {} : { launch: (command, args, options) => host.spawn(command, args, options) };
}

function titleOf({ connections, lab }: Case): string {
  const requests = connections === 1 ? '1 request' : `${connections} requests`;
  return `${requests} under way, ${lab === undefined ? 'loopback' : `${DELAY} ms each way`}`;
}
