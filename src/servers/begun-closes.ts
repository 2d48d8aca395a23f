import type net from 'node:net';
import { mergeReports, type CloseReport } from '../close/report.ts';
import { handleOf } from '../node/fields.ts';
import { sharedInProcess } from '../node/shared.ts';

/** A close that has begun, kept so that a second call gets the same promise. */
interface BegunClose {
  readonly promise: Promise<CloseReport>;
  /** The handle of each server at that time. A server with another handle listens again, and is closed again. */
  readonly handles: ReadonlyMap<net.Server, unknown>;
  isOver: boolean;
}

/** Those of all copies of lastcall: a server is closed once. */
const { begun, underWay } = sharedInProcess('closes', () => ({
  begun: new WeakMap<net.Server, BegunClose>(),
  underWay: new Set<BegunClose>(),
}));

/** Every server of a close that is under way. */
export function serversUnderWay(): readonly net.Server[] {
  return [...underWay].flatMap(({ handles }) => [...handles.keys()]);
}

/** Calls `close` for the servers that are not being closed yet, and joins the closes of the others. */
export function closeOnce(
  servers: readonly net.Server[],
  close: (fresh: readonly net.Server[]) => Promise<CloseReport>,
): Promise<CloseReport> {
  const running = new Set(servers.map(closeOf).filter((other) => other !== undefined));
  const fresh = servers.filter((server) => closeOf(server) === undefined);
  const [only] = running;
  if (fresh.length === 0 && only !== undefined && running.size === 1) return only.promise;
  const started = begin(fresh, () => close(fresh));
  if (running.size === 0) return started.promise;
  return Promise.all([started, ...running].map(({ promise }) => promise)).then(mergeReports);
}

function closeOf(server: net.Server): BegunClose | undefined {
  const close = begun.get(server);
  const listensAnew = server.listening && handleOf(server) !== close?.handles.get(server);
  return listensAnew || (close?.isOver && server.listening) ? undefined : close;
}

/** Kept before it runs: what it calls while it begins may ask for the same close. */
function begin(servers: readonly net.Server[], run: () => Promise<CloseReport>): BegunClose {
  let start = (_report: Promise<CloseReport>): void => {};
  const promise = new Promise<CloseReport>((resolve) => {
    start = resolve;
  });
  const handles = new Map(servers.map((server) => [server, handleOf(server)]));
  const close: BegunClose = { promise, handles, isOver: false };
  for (const server of servers) begun.set(server, close);
  underWay.add(close);
  void promise.finally(() => {
    close.isOver = true;
    underWay.delete(close);
  });
  start(run());
  return close;
}
