import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { CloseProgress, CloseReport, ConnectionMessage, gracefulClose } from '../../src/index.ts';
import type { ClientSaw, ClientsOrder, ClientsTold, ServerKind } from '../fixtures/connection/accounting-clients.ts';
import { blockUntil } from '../harness/block.ts';
import { queuedAt } from '../harness/ports.ts';
import type { TestProcess } from '../harness/processes.ts';
import type { Population } from './accounting-population.ts';
import { AccountingServers } from './accounting-servers.ts';

/** What was seen of one close, by everybody. */
export interface Accounted {
  readonly report: CloseReport;
  /** The report once more, when every client had gone. */
  readonly reportLater: CloseReport;
  /** How long the caller waited for it, in milliseconds. */
  readonly took: number;
  /** What the diagnostics channel told. */
  readonly messages: readonly ConnectionMessage[];
  /** What onProgress was told, and how many connections the channel had told as ended by then. */
  readonly progress: readonly (CloseProgress & { readonly toldAsEnded: number })[];
  /** Connections that the program had when the close was called, and those that it was given from then on. */
  readonly open: number;
  readonly arrived: number;
  /** Those of both that came to the Unix socket. */
  readonly byUnix: number;
  /** Connections of the program that were not destroyed when the report came. */
  readonly leftOpen: number;
  /** Sockets of the servers that keep the process alive, when what was closed has had its turns to go. */
  readonly leftActive: number;
  readonly saw: readonly ClientSaw[];
}

// Longer than a busy machine takes.
const SEEN_WITHIN = 20_000;

export interface Closing {
  readonly clients: TestProcess<ClientsTold>;
  readonly certificate: object;
  readonly how: typeof gracefulClose;
  /** How long a client may take to see its end after the close, in milliseconds. */
  readonly seenWithin?: number;
}

/** Lets the clients come, closes their servers, and tells what everybody saw. */
export async function closeAndAccount(
  population: Population,
  { clients, certificate, how, seenWithin = SEEN_WITHIN }: Closing,
): Promise<Accounted> {
  const kinds = new Set<ServerKind>(
    [...population.clients, ...population.late].map(({ server }) => server).concat(population.idleServers),
  );
  const servers = new AccountingServers([...kinds], certificate);
  const messages: ConnectionMessage[] = [];
  const hear = (message: unknown): void => void messages.push(message as ConnectionMessage);
  subscribe('lastcall:connection', hear);
  const order = (to: ClientsOrder): void => clients.send(to);
  try {
    const to = await servers.listen();
    order({ come: population.clients, to });
    await clients.next('ready');
    order({ comeLate: population.late, to });
    // The late clients of TCP are queued when the close begins, and those of the Unix socket, who come in between, mostly.
    const queued = population.late.filter(({ server }) => server !== 'unix').length;
    const ports = Object.values(to).filter((address) => typeof address === 'number');
    blockUntil(`${queued} clients are queued`, () => ports.reduce((sum, port) => sum + queuedAt(port), 0) >= queued);
    const closed = await close(servers, population, messages, how);
    // Before the clients are let go.
    const leftActive = await settle(() => servers.activeHandles());
    order({ tellWithin: seenWithin });
    const saw = await clients.next('saw');
    return { ...closed, messages, saw, leftActive, reportLater: closed.later() };
  } finally {
    unsubscribe('lastcall:connection', hear);
    servers.end();
  }
}

type Closed = Omit<Accounted, 'messages' | 'saw' | 'leftActive' | 'reportLater'> & {
  readonly later: () => CloseReport;
};

async function close(
  servers: AccountingServers,
  { options, abortAfter, farewell, webSockets, drains }: Population,
  messages: readonly ConnectionMessage[],
  how: typeof gracefulClose,
): Promise<Closed> {
  servers.forgetClosed();
  const open = servers.accepted;
  const progress: Accounted['progress'][number][] = [];
  const began = performance.now();
  const live = await how(servers.all, {
    ...options,
    gate: 'own',
    onProgress: (state) => void progress.push({ ...state, toldAsEnded: messages.filter(({ cut }) => !cut).length }),
    ...(abortAfter === null ? {} : { signal: AbortSignal.timeout(abortAfter) }),
    ...(webSockets ? { webSockets: servers.webSockets } : {}),
    ...(drains ? { onDrain: ({ response }): void => void response?.end() } : {}),
    ...(farewell
      ? { farewell: { say: () => Buffer.from('bye'), answered: (received) => received.includes('bye') } }
      : {}),
  });
  return {
    report: structuredClone(live),
    later: () => structuredClone(live),
    took: performance.now() - began,
    progress,
    open,
    arrived: servers.accepted - open,
    byUnix: servers.acceptedByUnix,
    leftOpen: servers.open,
  };
}

/** What is left when it has become nothing, or after two seconds, for a control: a handle goes a turn after it was closed. */
async function settle(count: () => number): Promise<number> {
  const until = performance.now() + 2_000;
  while (count() > 0 && performance.now() < until) await new Promise((resolve) => setImmediate(resolve));
  return count();
}
