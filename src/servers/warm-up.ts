import { channel } from 'node:diagnostics_channel';
import net from 'node:net';
import { completeOptions } from '../close/check-options.ts';
import { Close } from '../close/close.ts';
import type { Channels } from '../close/diagnostics.ts';
import { AF_INET, SOCK_CLOEXEC, SOCK_STREAM } from '../linux/constants.ts';
import { check, type Libc, loadLibc } from '../linux/libc.ts';
import { hasChildren } from '../linux/process/processes.ts';
import { mayHaveCookiesOut } from '../listener/syn-cookies.ts';
import { countQueued } from '../listener/count-queues.ts';
import { countHalfOpen } from '../listener/half-open.ts';
import type { Listener } from '../listener/listener.ts';
import { listenerOf } from '../listener/listening.ts';
import { findSharing } from '../listener/sharing.ts';
import { closeServers } from './close-servers.ts';
import { closeAndPublish } from './graceful-close.ts';

const nobody = channel('lastcall:warm-up');
const NOBODY: Channels = { gate: nobody, listener: nobody, connection: nobody, closed: nobody };
let isDone = false;

/**
 * Runs a close once when the first server listens, of a server and a socket that nobody uses. Code that has never run takes
 * milliseconds the first time, and the gate has to shut in less than one.
 */
export function warmUpClose(server: net.Server): void {
  const loaded = loadLibc();
  const listener = listenerOf(server);
  if (isDone || !loaded.available || listener === undefined) return;
  isDone = true;
  try {
    walkThrough(listener);
    closeScratch(loaded.libc).catch(() => {});
  } catch {
    // What is not possible here is tried again at the close, and reported then.
  }
}

function walkThrough(listener: Listener): void {
  // With children it might search all of /proc; without, it is the path that a close takes.
  if (!hasChildren()) void findSharing(listener, { endsAt: 0, deadline: AbortSignal.abort() });
  mayHaveCookiesOut(listener);
  countQueued(listener);
  countHalfOpen(listener, performance.now());
}

async function closeScratch(libc: Libc): Promise<void> {
  const server = new net.Server();
  const options = { gate: 'own', deadline: 0 } as const;
  // It does not listen, so the one close meets no listener and the other no server.
  await closeAndPublish([server], options, NOBODY);
  const socket = check('socket', libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const address = { family: 'IPv4', address: '127.0.0.1', port: 0 } as const;
  const listener = { server: undefined, address, name: 'warm-up', descriptor: () => socket, isOpen: () => false };
  try {
    await closeServers([], [listener], new Close(completeOptions(options), NOBODY));
  } finally {
    libc.close(socket);
  }
}
