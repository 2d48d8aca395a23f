import { linkSync, lstatSync, renameSync, rmSync } from 'node:fs';
import type { SocketAddress } from './sockets.ts';

/** The path of a Unix listener; undefined for others, and for an abstract name, which has no file. */
export function pathOf(address: SocketAddress | undefined): string | undefined {
  return address?.family === 'Unix' && address.path !== '' && !address.path.startsWith('\0') ? address.path : undefined;
}

/** Tells one file from another. A file's number is not used again while its socket is open. Undefined if there is none. */
export function fileAt(path: string): string | undefined {
  try {
    const { dev, ino } = lstatSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/**
 * Calls `close`, in which libuv deletes the path that it has bound (uv__pipe_close), whoever serves it by then. The file is there again
 * when this returns: for two system calls there is none, and a client that connects just then is refused.
 */
export function keepPath(path: string, close: () => void): void {
  const beside = `${path}.${process.pid}`;
  const isKept = moveAside(path, beside);
  close();
  if (!isKept) return;
  try {
    renameSync(beside, path);
    // Where libuv had not bound the path, both names are of one file, and the kernel has changed nothing.
    rmSync(beside, { force: true });
  } catch {
    // It is left beside: nobody may write in its folder any more.
  }
}

/** A second name is better: then the first one is gone for less long. It may be denied for another user's file (fs.protected_hardlinks). */
function moveAside(path: string, beside: string): boolean {
  for (const move of [linkSync, renameSync]) {
    try {
      move(path, beside);
      return true;
    } catch {
      // Where neither is allowed libuv may not delete it either; or there is no file.
    }
  }
  return false;
}
