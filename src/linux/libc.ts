import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/**
 * The C library, as this process has it loaded already: `load(null)` looks names up in the running program,
 * so glibc and musl serve alike. This is the only file that knows the FFI.
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

/** What came of loading the C library. A program without it still closes, with gate `none`. */
export type LoadedLibc =
  | { readonly available: true; readonly libc: Libc }
  | { readonly available: false; readonly reason: string; readonly cause?: unknown };

/** A system call that failed, with the name of its manual page and the errno that it left. */
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

/** Loads the C library once; about 10 ms the first time, nothing afterwards. Never throws. */
export function loadLibc(): LoadedLibc {
  loaded ??= bindLibc();
  return loaded;
}

/** The C library, for callers that cannot do without. Throws the reason for which it is missing. */
export function requireLibc(): Libc {
  const result = loadLibc();
  if (!result.available) throw new Error(result.reason, { cause: result.cause });
  return result.libc;
}

/** Returns `result` unless it is -1; then throws the `SystemCallError` for errno. */
export function check(syscall: string, result: number): number {
  if (result === -1) throw new SystemCallError(syscall, requireLibc().errno());
  return result;
}

/**
 * Binds one more function of the C library by its C declaration, for callers whose calls a close does not need.
 * The declaration is ours, never input.
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
  // Every layout in this folder is read and written as on the little-endian machines that it was tried on.
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
    return { available: false, reason: `koffi did not load (${firstLine(cause)})`, cause };
  }
}

function loadKoffi(): typeof import('koffi') {
  // Synchronous, so that a close that meets its first server at SIGTERM still shuts the gate in the same turn.
  return createRequire(import.meta.url)('koffi');
}

function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split('\n', 1)[0] ?? '';
}

function errorName(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[0] ?? `errno ${errno}`;
}
