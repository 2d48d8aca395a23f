import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inodeOf } from '../../linux/descriptors.ts';
import { loadLibc, requireLibc } from '../../linux/libc.ts';
import { openListener } from '../../linux/open-listener.ts';
import type { SocketAddress } from '../../linux/sockets.ts';
import { localAddress } from '../../linux/sockets.ts';
import { holdNewConnections } from '../../listener/gate/hold.ts';
import { refuseNewConnections } from '../../listener/gate/refuse.ts';
import { shutUnixListener } from '../../listener/gate/unix.ts';
import { mayReopen } from '../gate/outside-gate.ts';
import { type Finding, good, note, type FindingId, problem, warning } from './finding.ts';

const ANY_PORT: SocketAddress = { family: 'IPv4', address: '127.0.0.1', port: 0 };

/** Which gates can be shut here: each is tried on a socket of our own, with a client that is queued before and one that comes after. */
export async function examineGates(): Promise<readonly Finding[]> {
  if (!loadLibc().available) return [];
  return [
    await tryGate('gate-refuse', ANY_PORT, refuseNewConnections),
    await tryUnix(),
    tryHold(),
    judgeReopen(mayReopen()),
  ];
}

async function tryUnix(): Promise<Finding> {
  const folder = mkdtempSync(join(tmpdir(), 'lastcall-doctor-'));
  try {
    return await tryGate('gate-unix', { family: 'Unix', path: join(folder, 'socket') }, shutUnixListener);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const WITHOUT: Readonly<Record<string, string>> = {
  'gate-refuse': 'Linux 5.7 or later, or CAP_NET_RAW; without it new clients are let in until the listener closes',
  'gate-unix': 'a Unix listener of a program is left open until it closes it',
};

async function tryGate(id: FindingId, address: SocketAddress, shut: (fd: number) => void): Promise<Finding> {
  let fd: number | undefined;
  const clients: net.Socket[] = [];
  try {
    fd = openListener(address, 8);
    const target = targetOf(fd, address);
    clients.push(net.connect(target));
    await once(clients[0] ?? new net.Socket(), 'connect');
    shut(fd);
    const late = net.connect(target);
    clients.push(late);
    const outcome = await Promise.race([
      once(late, 'connect').then(() => 'is let in'),
      new Promise<string>((resolve) => late.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))),
    ]);
    if (outcome === 'ECONNREFUSED') return good(id, 'can be shut: a new client is refused, one that waits is kept');
    return problem(id, `was shut, but a new client ${outcome}`, 'please report this, with the version of the kernel');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return warning(id, `cannot be shut (${why})`, WITHOUT[id] ?? '');
  } finally {
    for (const client of clients) client.destroy();
    if (fd !== undefined) requireLibc().close(fd);
  }
}

function targetOf(fd: number, address: SocketAddress): net.NetConnectOpts {
  if (address.family === 'Unix') return { path: address.path };
  const bound = localAddress(fd);
  if (bound === undefined || bound.family === 'Unix') throw new Error(`socket ${inodeOf(fd)} has no port`);
  return { host: bound.address, port: bound.port };
}

function tryHold(): Finding {
  const fd = openListener(ANY_PORT, 1);
  try {
    holdNewConnections(fd);
    return good('gate-hold', 'can be shut (CAP_NET_ADMIN)');
  } catch {
    return note('gate-hold', 'cannot be shut: it needs CAP_NET_ADMIN. Only `newConnections: "hold"` asks for it');
  } finally {
    requireLibc().close(fd);
  }
}

export function judgeReopen(may: boolean): Finding {
  if (may) return good('gate-reopen', 'a gate that was shut can be opened again (CAP_NET_RAW)');
  return note(
    'gate-reopen',
    'a gate that was shut cannot be opened again: `lastcall stop` shuts none unless it may --kill',
    'CAP_NET_RAW, or `lastcall stop --kill`; `lastcall run` and the library do without',
  );
}
