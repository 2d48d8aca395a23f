import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/**
 * The C library that this process has already loaded: `load(null)` looks up names in the running program, so that glibc and
 * musl both work. This is the only file that uses the FFI.
 */
export interface Libc {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly close: (fd: number) => number;
  readonly listen: (fd: number, backlog: number) => number;
  readonly shutdown: (fd: number, how: number) => number;
  readonly getsockopt: (fd: number, level: number, name: number, value: Buffer, length: Buffer) => number;
  readonly setsockopt: (fd: number, level: number, name: number, value: Buffer | null, length: number) => number;
  readonly getsockname: (fd: number, address: Buffer, length: Buffer) => number;
  readonly send: (fd: number, bytes: Buffer, length: number, flags: number) => number;
  readonly recv: (fd: number, bytes: Buffer, length: number, flags: number) => number;
  readonly ioctl: (fd: number, request: number, argument: Buffer) => number;
  readonly waitid: (which: number, id: number, info: Buffer, options: number) => number;
  /** The address of a buffer's first byte; the caller keeps the buffer alive. */
  readonly address: (bytes: Buffer) => bigint;
  readonly pointerSize: number;
  readonly errno: () => number;
}

/** The result of loading the C library. A program without it still closes, with gate `none`. */
export type LoadedLibc =
  | { readonly available: true; readonly libc: Libc }
  | { readonly available: false; readonly reason: string; readonly cause?: unknown };

/** A system call that failed, with the name of its manual page and its errno. */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError';
  readonly syscall: string;
  readonly errno: number;
  /** The errno's name, such as `EPERM`. */
  readonly code: string;

  constructor(syscall: string, errno: number) {
    const code = errorName(errno);
    super(`${syscall}: ${code}`);
    this.syscall = syscall;
    this.errno = errno;
    this.code = code;
  }
}

let loaded: LoadedLibc | undefined;

/** Loads the C library once, which takes about 10 ms. Never throws. */
export function loadLibc(): LoadedLibc {
  loaded ??= bindLibc();
  return loaded;
}

/** Loads the C library for callers that need it. Throws the reason if it is missing. */
export function requireLibc(): Libc {
  const result = loadLibc();
  if (!result.available) throw new Error(result.reason, { cause: result.cause });
  return result.libc;
}

/** Returns `result`, or throws the `SystemCallError` for errno if it is -1. */
export function check(syscall: string, result: number): number {
  if (result === -1) throw new SystemCallError(syscall, requireLibc().errno());
  return result;
}

/**
 * Binds one more function of the C library by its C declaration, for calls that a close does not make. The declaration is
 * always a constant of ours, never input.
 */
export function bindFunction(
  declaration: string,
): (...args: readonly (number | bigint | string | Buffer | null)[]) => number {
  const koffi = loadKoffi();
  return koffi.load(null).func(declaration);
}

function bindLibc(): LoadedLibc {
  if (process.platform !== 'linux')
    return { available: false, reason: `no gate on ${process.platform}, only on Linux` };
  // Every layout in this folder is little-endian.
  if (endianness() === 'BE') return { available: false, reason: 'no gate on a big-endian machine' };
  try {
    const koffi = loadKoffi();
    const program = koffi.load(null);
    const libc: Libc = {
      socket: program.func('int socket(int domain, int type, int protocol)'),
      close: program.func('int close(int fd)'),
      listen: program.func('int listen(int fd, int backlog)'),
      shutdown: program.func('int shutdown(int fd, int how)'),
      getsockopt: program.func('int getsockopt(int fd, int level, int name, void *value, void *length)'),
      setsockopt: program.func('int setsockopt(int fd, int level, int name, void *value, uint32_t length)'),
      getsockname: program.func('int getsockname(int fd, void *address, void *length)'),
      send: program.func('intptr_t send(int fd, void *bytes, size_t length, int flags)'),
      recv: program.func('intptr_t recv(int fd, void *bytes, size_t length, int flags)'),
      // Declared without the ellipsis: the third argument travels in the same register on every Linux ABI.
      ioctl: program.func('int ioctl(int fd, unsigned long request, void *argument)'),
      waitid: program.func('int waitid(int which, unsigned int id, void *info, int options)'),
      address: koffi.address,
      pointerSize: koffi.sizeof('void *'),
      errno: () => koffi.errno(),
    };
    return { available: true, libc };
  } catch (cause) {
    return { available: false, reason: `koffi did not load (${messageOf(cause).split('\n', 1)[0]})`, cause };
  }
}

function loadKoffi(): typeof import('koffi') {
  // Synchronous: a close that finds its first server at SIGTERM still shuts the gate in the same turn.
  return createRequire(import.meta.url)('koffi');
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function errorName(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[0] ?? `errno ${errno}`;
}
