import type { Gate } from '../../close/report.ts';
import {
  AF_INET,
  IPPROTO_TCP,
  SO_BINDTOIFINDEX,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_DEFER_ACCEPT,
} from '../../linux/constants.ts';
import { detachFilter } from '../../linux/filter.ts';
import { check, requireLibc } from '../../linux/libc.ts';
import { listen, setIntOption } from '../../linux/sockets.ts';
import { makeRoom, shutGate } from '../../listener/gate/gate.ts';
import { NO_INTERFACE } from '../../listener/gate/refuse.ts';
import type { CopiedListener } from './copied-listener.ts';

/** The gate of a program's listener, shut from this process. */
export interface ProgramGate {
  readonly listener: CopiedListener;
  readonly gate: Gate;
  readonly reason: string | undefined;
  /** Accepts new connections again, and restores the settings. Throws if it cannot. */
  reopen(): void;
}

/** Shuts the gate of a listener by the best method that the kernel allows, and remembers its settings. */
export function shutProgramGate(listener: CopiedListener): ProgramGate {
  const { fd, held, before } = listener;
  const { family } = held.socket.address;
  // Lets in silent clients that TCP_DEFER_ACCEPT holds back, and makes room in a full queue for clients that are connected.
  if (family !== 'Unix') makeRoom(fd);
  const { gate, reason } = shutGate(fd, {
    family,
    sharedBecause: undefined,
    noSystemCalls: undefined,
    newConnections: 'refuse',
  });
  return {
    listener,
    gate,
    reason,
    reopen: () => {
      if (gate === 'unix') throw new Error('a Unix listener cannot be opened again after it is shut');
      if (before === undefined) return;
      if (gate === 'refuse') setIntOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX, before.device);
      if (gate === 'hold') detachFilter(fd);
      setIntOption(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, before.deferAccept);
      listen(fd, before.backlog);
    },
  };
}

/**
 * Whether this process may open a gate again (CAP_NET_RAW, sock_bindtoindex in net/core/sock.c). It tries on a socket of its
 * own.
 */
export function mayReopen(): boolean {
  const libc = requireLibc();
  const fd = check('socket', libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  try {
    setIntOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX, NO_INTERFACE);
    setIntOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX, 0);
    return true;
  } catch {
    return false;
  } finally {
    libc.close(fd);
  }
}

/** Why no gate may be shut: it could not be opened again, and the program must not be killed. Undefined if gates may be shut. */
export function whyNoGates(mayKill: boolean): string | undefined {
  if (mayKill || mayReopen()) return undefined;
  return 'no gate was shut: without CAP_NET_RAW it could not be opened again; --kill allows it';
}
