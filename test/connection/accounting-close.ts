import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { CloseProgress, CloseReport, ConnectionMessage, gracefulClose } from '../../src/index.ts';
import type { ClientSaw, ClientsOrder, ClientsTold, ServerKind } from '../fixtures/connection/accounting-clients.ts';
import type { Population } from './accounting-population.ts';
import { AccountingServers } from './accounting-servers.ts';
import type { ProgramMessages } from './program-messages.ts';

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

export interface ClientsProcess {
  readonly told: ProgramMessages<ClientsTold>;
  order(order: ClientsOrder): void;
}

// How long the loop stands still while the late clients come: they are queued when the close begins.
const STANDSTILL = 30;
// How long a client may take to see its end after the close.
const SEEN_WITHIN = 5_000;

/** Lets the clients come, closes their servers, and tells what everybody saw. */
export async function closeAndAccount(
  population: Population,
  { clients, certificate, how }: { clients: ClientsProcess; certificate: object; how: typeof gracefulClose },
): Promise<Accounted> {
  const kinds = new Set<ServerKind>(
    [...population.clients, ...population.late].map(({ server }) => server).concat(population.idleServers),
  );
  const servers = new AccountingServers([...kinds], certificate);
  const messages: ConnectionMessage[] = [];
  const hear = (message: unknown): void => void messages.push(message as ConnectionMessage);
  subscribe('lastcall:connection', hear);
  try {
    const to = await servers.listen();
    clients.order({ come: population.clients, to });
    await clients.told.next('ready');
    clients.order({ comeLate: population.late, to });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STANDSTILL);
    const closed = await close(servers, population, messages, how);
    // Before the clients are let go.
    const leftActive = await settle(() => servers.activeHandles());
    clients.order({ tellWithin: SEEN_WITHIN });
    const saw = await clients.told.next('saw');
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

/** What is left when it has become nothing, or after two seconds: a handle goes a turn after it was closed. */
async function settle(count: () => number): Promise<number> {
  const until = performance.now() + 2_000;
  while (count() > 0 && performance.now() < until) await new Promise((resolve) => setImmediate(resolve));
  return count();
}
