import type { Lab } from '../../test/lab/lab.ts';
import { ClientProcess } from '../processes/client-process.ts';
import { CONTENDERS, type Contender, TITLES } from '../processes/contenders.ts';
import type { Launch } from '../processes/launch.ts';
import { HELD_PATH } from '../processes/messages.ts';
import type { Run } from '../run.ts';
import { ServerProcess } from '../processes/server-process.ts';
import { type Spread, spreadOf } from '../report/statistics.ts';

/** Milliseconds on the wire, each way. */
const DELAY = 10;

/** A plain close is not among them: it leaves kept connections open until their clients have been idle for long. */
const OTHERS = CONTENDERS.filter((contender) => contender !== 'close' && contender !== 'lastcall');
const SIZES = [1, 100];

export interface DeliveryFigures {
  readonly contender: Contender;
  readonly title: string;
  readonly connections: number;
  /** Milliseconds. */
  readonly roundTrip: number;
  readonly reset: Spread;
  /** From the last byte of the last response, as its client reads it, until the contender is done; milliseconds. */
  readonly time: Spread;
}

interface Case {
  readonly contender: Contender;
  readonly connections: number;
  /** In the lab, or on the loopback interface. */
  readonly lab?: Lab;
}

interface OneClose {
  readonly reset: number;
  readonly time: number;
}

/** Closes with requests under way, which are answered during the close. */
export async function measureDelivery(run: Run): Promise<readonly DeliveryFigures[]> {
  // Only now: it makes a lab at once, to find out whether it can.
  const { labMissing, openLab } = await import('../../test/lab/lab.ts');
  await using lab = labMissing === false ? await openLab({ delay: DELAY }) : undefined;
  const results = new Map(listCases(lab).map((one) => [one, new Array<OneClose>()]));
  for (let round = 1; round <= run.delivery; round++) {
    run.progress(`last response to promise: round ${round} of ${run.delivery}`);
    for (const [one, closes] of results) closes.push(await closeOnce(one, run.signal));
  }
  return [...results].map(([{ contender, connections, lab: isInLab }, closes]) => ({
    contender,
    title: TITLES[contender],
    connections,
    roundTrip: isInLab === undefined ? 0 : 2 * DELAY,
    reset: spreadOf(closes.map(({ reset }) => reset)),
    time: spreadOf(closes.map(({ time }) => time)),
  }));
}

function listCases(lab: Lab | undefined): readonly Case[] {
  return SIZES.flatMap((connections): readonly Case[] => [
    ...OTHERS.map((contender) => ({ contender, connections })),
    { contender: 'lastcall', connections },
    ...(lab === undefined ? [] : [{ contender: 'lastcall', connections, lab } as const]),
  ]);
}

async function closeOnce({ contender, connections, lab }: Case, signal: AbortSignal): Promise<OneClose> {
  const host = lab?.server.ipv4 ?? '127.0.0.1';
  const server = await ServerProcess.start(contender, signal, { host, ...on(lab?.server) });
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
  await Promise.all([server.exit(), clients.end()]);
  return { reset, time: doneAt - lastByteAt };
}

function on(host: Lab['server'] | undefined): { readonly launch?: Launch } {
  return host === undefined ? {} : { launch: (command, args, options) => host.spawn(command, args, options) };
}
