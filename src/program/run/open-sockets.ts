import { lstatSync, unlinkSync } from 'node:fs';
import net from 'node:net';
import { messageOf, requireLibc, SystemCallError } from '../../linux/libc.ts';
import { openListener } from '../../linux/open-listener.ts';
import type { SocketAddress } from '../../linux/sockets.ts';
import { LARGE_BACKLOG } from '../../listener/gate/gate.ts';

/** The listening sockets that are opened for a program. */
export interface OpenSockets {
  readonly descriptors: readonly number[];
  /** Closes them and deletes their files, except files that another process has put in their place. */
  close(): void;
}

/** An address that cannot be listened on, with the reason. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly address: SocketAddress;

  constructor(address: SocketAddress, cause: unknown) {
    super(messageOf(cause), { cause });
    this.address = address;
  }
}

/** Opens a listener at each address. Replaces the file of a Unix socket that has no listener any more. Throws a `ListenError`. */
export async function openSockets(addresses: readonly SocketAddress[]): Promise<OpenSockets> {
  const descriptors: number[] = [];
  const files: { readonly path: string; readonly inode: number }[] = [];
  const close = (): void => {
    for (const fd of descriptors.splice(0)) requireLibc().close(fd);
    for (const { path, inode } of files.splice(0)) if (inodeAt(path) === inode) unlinkSync(path);
  };
  for (const address of addresses) {
    try {
      descriptors.push(await openOne(address));
    } catch (error) {
      close();
      throw new ListenError(address, error);
    }
    const inode = address.family === 'Unix' ? inodeAt(address.path) : undefined;
    if (address.family === 'Unix' && inode !== undefined) files.push({ path: address.path, inode });
  }
  return { descriptors: [...descriptors], close };
}

async function openOne(address: SocketAddress): Promise<number> {
  try {
    return openListener(address, LARGE_BACKLOG);
  } catch (error) {
    if (!isTaken(error) || address.family !== 'Unix' || !(await isLeftBehind(address.path))) throw error;
    unlinkSync(address.path);
    return openListener(address, LARGE_BACKLOG);
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof SystemCallError && error.code === 'EADDRINUSE';
}

/** Whether the file is a Unix socket without a listener: it refuses clients (unix(7)). Other files must not be deleted. */
async function isLeftBehind(path: string): Promise<boolean> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false;
  const client = net.connect({ path });
  try {
    return await new Promise((resolve) => {
      client.once('connect', () => resolve(false));
      client.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
    });
  } finally {
    client.destroy();
  }
}

/** Undefined if there is no file; an abstract name has none. */
function inodeAt(path: string): number | undefined {
  return path.startsWith('\0') ? undefined : lstatSync(path, { throwIfNoEntry: false })?.ino;
}
