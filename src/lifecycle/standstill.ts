import type net from 'node:net';
import { acceptedConnections } from '../connection/open-connections.ts';

/** How often to look, in ms. */
const LOOK_EVERY = 100;
/** The share of the time that the looks may take. */
const SHARE = 20;

/** When a drain stands still. */
interface Limits {
  /** So long nothing has moved, in ms. */
  readonly quietFor: number;
  /** It counts as a standstill after this time, in ms, whatever moves. */
  readonly most: number;
  /** Aborted when the drain has ended. */
  readonly signal: AbortSignal;
}

/**
 * Calls back when a drain stands still: the listeners have closed, connections are left, and nothing has moved on any of them.
 * They wait for the program. (lastcall ends those that owe nothing.)
 */
export function onStandstill(servers: () => readonly net.Server[], limits: Limits, callback: () => void): void {
  const { quietFor, most, signal } = limits;
  const began = performance.now();
  let timer: NodeJS.Timeout | undefined;
  let seen: string | undefined;
  let since = began;
  const look = (): void => {
    const at = performance.now();
    const now = movementOn(servers());
    if (now === undefined || now !== seen) since = at;
    seen = now;
    if (at - since >= quietFor || at - began >= most) return callback();
    const pause = Math.max(LOOK_EVERY, (performance.now() - at) * SHARE);
    timer = setTimeout(look, Math.min(pause, began + most - at));
  };
  signal.addEventListener('abort', () => clearTimeout(timer));
  if (!signal.aborted) look();
}

/** It changes when a byte moves, and when a connection ends. Undefined while a server listens. */
function movementOn(servers: readonly net.Server[]): string | undefined {
  if (servers.some((server) => server.listening)) return undefined;
  const left = acceptedConnections().filter(({ server }) => servers.includes(server));
  const bytes = left.reduce((sum, { socket }) => sum + socket.bytesRead + socket.bytesWritten, 0);
  return `${left.length} ${bytes}`;
}
