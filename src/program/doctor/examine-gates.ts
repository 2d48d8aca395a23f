import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inodeOf } from '../../linux/descriptors.ts';
import { loadLibc, messageOf, requireLibc } from '../../linux/libc.ts';
import { openListener } from '../../linux/open-listener.ts';
import { localAddress, type SocketAddress } from '../../linux/sockets.ts';
import { holdNewConnections } from '../../listener/gate/hold.ts';
import { refuseNewConnections } from '../../listener/gate/refuse.ts';
import { shutUnixListener } from '../../listener/gate/unix.ts';
import { mayReopen } from '../gate/program-gate.ts';
import { type Finding, type FindingId, good, note, problem, warning } from './finding.ts';

const ANY_PORT: SocketAddress = { family: 'IPv4', address: '127.0.0.1', port: 0 };

/** Tries each gate on a socket of our own, with a client that is queued before and one that comes after. */
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
  'gate-refuse': 'use Linux 5.7 or later, or CAP_NET_RAW; without them new clients connect until the listener closes',
  'gate-unix': 'new clients connect to a Unix listener until the program closes it',
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
      once(late, 'connect').then(() => 'connected'),
      new Promise<string>((resolve) => late.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))),
    ]);
    if (outcome === 'ECONNREFUSED') return good(id, 'can be shut: a new client is refused, and a queued one stays');
    return problem(
      id,
      `was shut, but for a new client: ${outcome}`,
      'please report this, with the version of the kernel',
    );
  } catch (error) {
    return warning(id, `cannot be shut (${messageOf(error)})`, WITHOUT[id] ?? '');
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
    return note('gate-hold', 'cannot be shut: it needs CAP_NET_ADMIN. Only `newConnections: "hold"` uses it');
  } finally {
    requireLibc().close(fd);
  }
}

export function judgeReopen(may: boolean): Finding {
  if (may) return good('gate-reopen', 'a shut gate can be opened again (CAP_NET_RAW)');
  return note(
    'gate-reopen',
    'a shut gate cannot be opened again: `lastcall stop` shuts gates only with --kill',
    'use CAP_NET_RAW, or `lastcall stop --kill`; `lastcall run` and the library need neither',
  );
}
