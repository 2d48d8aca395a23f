import { lstatSync, unlinkSync } from 'node:fs';
import net from 'node:net';
import { requireLibc, SystemCallError } from '../../linux/libc.ts';
import { openListener } from '../../linux/open-listener.ts';
import type { SocketAddress } from '../../linux/sockets.ts';

/** Listening sockets that were opened for a program. */
export interface OpenSockets {
  readonly descriptors: readonly number[];
  /** Closes them, and takes their files away, unless somebody else has put another one there. */
  close(): void;
}

/** What an address could not be listened on, and why. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly address: SocketAddress;

  constructor(address: SocketAddress, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.address = address;
  }
}

/** Opens a listener at each address. A socket's file that nobody listens on any more is replaced. Throws a `ListenError`. */
export async function openSockets(addresses: readonly SocketAddress[], backlog: number): Promise<OpenSockets> {
  const descriptors: number[] = [];
  const files: { readonly path: string; readonly inode: number }[] = [];
  const close = (): void => {
    for (const fd of descriptors.splice(0)) requireLibc().close(fd);
    for (const { path, inode } of files.splice(0)) if (inodeAt(path) === inode) unlinkSync(path);
  };
  for (const address of addresses) {
    try {
      descriptors.push(await openOne(address, backlog));
    } catch (error) {
      close();
      throw new ListenError(address, error);
    }
    const inode = address.family === 'Unix' ? inodeAt(address.path) : undefined;
    if (address.family === 'Unix' && inode !== undefined) files.push({ path: address.path, inode });
  }
  return { descriptors: [...descriptors], close };
}

async function openOne(address: SocketAddress, backlog: number): Promise<number> {
  try {
    return openListener(address, backlog);
  } catch (error) {
    if (!isTaken(error) || address.family !== 'Unix' || !(await isLeftBehind(address.path))) throw error;
    unlinkSync(address.path);
    return openListener(address, backlog);
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof SystemCallError && error.code === 'EADDRINUSE';
}

/** A socket whose listener is gone refuses (unix(7)); what is no socket is nobody's to take away. */
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

/** Undefined where there is no file, as of an abstract name. */
function inodeAt(path: string): number | undefined {
  return path.startsWith('\0') ? undefined : lstatSync(path, { throwIfNoEntry: false })?.ino;
}
