/** A process that looks at itself or at others as somebody else, or as process 1, and prints what it saw as JSON. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import net from 'node:net';
import { IPPROTO_TCP, TCP_INFO } from '../../src/linux/constants.ts';
import { type ListeningDescriptor, listeningDescriptors } from '../../src/linux/descriptors.ts';
import { attachSynFilter, detachFilter } from '../../src/linux/filter.ts';
import { findHolders } from '../../src/linux/holders.ts';
import { holdProcess } from '../../src/linux/pidfd.ts';
import { descendsFrom, readStat } from '../../src/linux/processes.ts';
import { becomeSubreaper, reapOrphans } from '../../src/linux/subreaper.ts';
import { SystemCallError } from '../../src/linux/libc.ts';
import { readOption } from '../../src/linux/sockets.ts';
import { readConnection } from '../../src/linux/tcp-info.ts';
import { fdOf } from './loopback.ts';

export interface ListenerSight {
  readonly port: number;
  readonly uid: number;
  readonly hasProc: boolean;
  readonly found: readonly ListeningDescriptor[];
}

export interface EcnSight {
  readonly pendingUnderFilter: boolean;
  readonly retransmissions: boolean;
  /** Whether a client without the filter has ECN: the control that its SYN offered it. */
  readonly ecn: boolean;
}

const NOBODY = 65_534;

const programs: Readonly<Record<string, () => Promise<unknown>>> = {
  listeners: async () => seeListeners(),
  'listeners-as-nobody': async () => seeListeners(becomeNobody),
  'holders-as-nobody': async () => {
    becomeNobody();
    return findHolders(1, { limit: 60_000, onlyOurs: false });
  },
  'suspects-as-nobody': async () => {
    becomeNobody();
    return {
      all: findHolders(1, { limit: 60_000, onlyOurs: false }),
      ours: findHolders(1, { limit: 60_000, onlyOurs: true }),
    };
  },
  'zombie-as-nobody': async () => {
    becomeNobody();
    const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
    await once(child, 'spawn');
    const pid = child.pid ?? 0;
    child.kill('SIGKILL');
    // Node waits for it in a later turn of the loop.
    while (readStat(pid)?.state !== 'Z');
    const { suspects } = findHolders(1, { limit: 60_000, onlyOurs: true });
    return { unreadable: codeOf(() => readdirSync(`/proc/${pid}/fd`)), isSuspect: suspects.includes(pid) };
  },
  'filter-as-nobody': attachAsNobody,
  'pidfd-as-nobody': async () => {
    becomeNobody();
    const held = holdProcess(process.ppid);
    return { signal: codeOf(() => held.signal(0)), copy: codeOf(() => held.copyDescriptor(0)) };
  },
  'reap-orphans': reapAnOrphan,
  'connect-with-ecn': connectWithEcn,
  'child-of-first-process': async () => {
    const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
    await once(child, 'spawn');
    const descends = child.pid !== undefined && descendsFrom(child.pid, process.pid);
    child.kill();
    return { pid: process.pid, descends };
  },
};

/** An orphan among the descendants becomes a child, and is waited for; a child that Node has started is left to Node. */
async function reapAnOrphan(): Promise<unknown> {
  becomeSubreaper();
  const parent = spawn('sh', ['-c', 'cat & echo $!'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const [said]: Buffer[] = await once(parent.stdout, 'data');
  await once(parent, 'exit');
  const orphan = Number(String(said));
  const adoptedBy = readStat(orphan)?.parent;
  const own = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  await once(own, 'spawn');
  process.kill(orphan, 'SIGKILL');
  own.kill('SIGKILL');
  while (readStat(orphan)?.state !== 'Z' || readStat(own.pid ?? 0)?.state !== 'Z');
  const reaped = reapOrphans((pid) => pid === own.pid);
  const isGone = readStat(orphan) === undefined;
  const [, signal]: unknown[] = await once(own, 'exit');
  return { isAdopted: adoptedBy === process.pid, reaped, isGone, signal };
}

function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

async function seeListeners(before: () => void = () => {}): Promise<ListenerSight> {
  const { server, port } = await listening();
  before();
  const found = listeningDescriptors();
  server.close();
  const uid = process.getuid?.() ?? -1;
  return { port, uid, hasProc: existsSync('/proc/self/fd') && readdirSync('/proc/self/fd').length > 0, found };
}

async function attachAsNobody(): Promise<string> {
  const { server } = await listening();
  becomeNobody();
  try {
    attachSynFilter(fdOf(server));
    return 'attached';
  } catch (error) {
    return error instanceof SystemCallError ? error.code : String(error);
  } finally {
    server.close();
  }
}

async function connectWithEcn(): Promise<EcnSight> {
  const filtered = await listening();
  const open = await listening();
  attachSynFilter(fdOf(filtered.server));
  const client = net.connect(filtered.port, '127.0.0.1');
  const control = net.connect(open.port, '127.0.0.1');
  await once(control, 'connect');
  const pendingUnderFilter = client.connecting;
  const connected = once(client, 'connect');
  detachFilter(fdOf(filtered.server));
  await connected;
  const sight = {
    pendingUnderFilter,
    retransmissions: readConnection(fdOf(client)).retransmissions > 0,
    ecn: negotiatedEcn(fdOf(control)),
  };
  for (const socket of [client, control]) socket.destroy();
  for (const { server } of [filtered, open]) server.close();
  return sight;
}

/** TCPI_OPT_ECN among tcpi_options, the sixth byte of struct tcp_info (linux/tcp.h). */
function negotiatedEcn(fd: number): boolean {
  const info = Buffer.alloc(8);
  readOption(fd, IPPROTO_TCP, TCP_INFO, info);
  return (info.readUInt8(5) & 8) !== 0;
}

async function listening(): Promise<{ readonly server: net.Server; readonly port: number }> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0 };
}

function becomeNobody(): void {
  process.setgroups?.([]);
  process.setgid?.(NOBODY);
  process.setuid?.(NOBODY);
}

const program = programs[process.argv[2] ?? ''];
if (program === undefined) throw new Error(`Expected one of ${Object.keys(programs).join(', ')}`);
process.stdout.write(JSON.stringify(await program()));
