import { IPPROTO_TCP, TCP_DEFER_ACCEPT } from '../../src/linux/constants.ts';
import { requireLibc, SystemCallError } from '../../src/linux/libc.ts';
import { holdProcess } from '../../src/linux/process/pidfd.ts';
import { setIntOption } from '../../src/linux/sockets.ts';
import { findListeners } from '../../src/program/find/find-listeners.ts';
import { until } from '../harness/wait.ts';
import { connectSilently, type QueuedClients } from './queued-clients.ts';

/** In seconds; longer than any stop takes. */
const HALF_OPEN_FOR = 120;

/**
 * Connects clients to a program by a handshake that is complete for them, and half-open for the kernel until they `ask`: it
 * drops the final ACK of a silent client (tcp(7), TCP_DEFER_ACCEPT). No program can accept them. A program that
 * closes its listener now resets them, however many clients it accepts before.
 *
 * @param root The program, or the process that started it.
 */
export async function connectHalfOpen(root: number, port: number, count: number): Promise<QueuedClients> {
  // Lastcall copies the listener for a moment in its warm-up: a holder may have closed its copy again.
  await until(`a process below ${root} holds the listener at port ${port}`, () => deferAccept(root, port));
  return connectSilently(count, { host: '127.0.0.1', port });
}

/** The option belongs to the socket: it can be set by a copy of the program's descriptor, which is closed at once. */
function deferAccept(root: number, port: number): boolean {
  const { listeners } = findListeners(root);
  const found = listeners.find(({ socket: { address } }) => address.family !== 'Unix' && address.port === port);
  const [holder] = found?.holders ?? [];
  if (holder === undefined) return false;
  const held = holdProcess(holder.pid);
  try {
    const copy = held.copyDescriptor(holder.fd);
    setIntOption(copy, IPPROTO_TCP, TCP_DEFER_ACCEPT, HALF_OPEN_FOR);
    requireLibc().close(copy);
    return true;
  } catch (error) {
    if (error instanceof SystemCallError && error.code === 'EBADF') return false;
    throw error;
  } finally {
    held.close();
  }
}
