import { fstatSync } from 'node:fs';
import { optionError } from '../../errors.ts';
import { SO_TYPE, SOCK_STREAM, SOL_SOCKET } from '../../linux/constants.ts';
import { loadLibc } from '../../linux/libc.ts';
import { getIntOption, isListening } from '../../linux/sockets.ts';
import { takePassed } from '../../listener/listen-fds.ts';

type PassedListener = { readonly fd: number; readonly name: string };

/** Those that were passed and not given yet; undefined before the first call. */
let left: PassedListener[] | undefined;
/** The names of all that were passed. */
let names: readonly string[] = [];

/**
 * A listening socket that systemd, or who else speaks its protocol, has opened for this process (socket activation,
 * sd_listen_fds(3)): clients can connect before the program runs, and while it is restarted. Undefined where there is none:
 * then the program listens for itself.
 *
 * Each socket is given once, in the order in which they were passed: with a name the first of that name (`FileDescriptorName=`
 * of the `.socket` unit; `unknown` where none was passed along), without one the first of all. The first call takes
 * LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID and LISTEN_PIDFDID out of the environment, so that no child of this process takes
 * them for its own. (The sockets themselves are not inherited: Node sees to that when it starts.)
 *
 * LISTEN_PID must be this process. A shell or npm between systemd and Node makes it another's; that is told by a warning.
 *
 * @throws `LastCallError` with code `ERR_OPTION` for what cannot be a name.
 *
 * @example
 * ```ts
 * import http from 'node:http';
 * import { inheritedListener } from 'lastcall';
 *
 * const server = http.createServer((request, response) => response.end('hello\n'));
 * server.listen(inheritedListener('web') ?? 8080);
 * ```
 */
export function inheritedListener(name?: string): { fd: number } | undefined {
  checkName(name);
  if (left === undefined) {
    left = takeListeners();
    names = left.map((listener) => listener.name);
  }
  const at = left.findIndex((listener) => name === undefined || listener.name === name);
  const [found] = at === -1 ? [] : left.splice(at, 1);
  if (name !== undefined && names.length > 0 && !names.includes(name)) {
    warn(
      `The supervisor has passed ${names.map((passed) => `\`${passed}\``).join(', ')}, and no socket named \`${name}\``,
    );
  }
  return found === undefined ? undefined : { fd: found.fd };
}

/** What systemd.socket(5) allows: printable ASCII without a colon, at most 255 characters. */
function checkName(name: unknown): void {
  if (name === undefined || (typeof name === 'string' && /^[ -9;-~]{1,255}$/.test(name))) return;
  throw optionError('name', "a socket's name: 1 to 255 characters of ASCII, no colon", name);
}

function takeListeners(): PassedListener[] {
  const { pid, descriptors } = takePassed();
  if (descriptors.length === 0) return [];
  if (pid !== String(process.pid)) {
    warn(
      `The sockets in LISTEN_FDS are not used: LISTEN_PID is ${pid ?? 'not set'}, and this process is ${process.pid}. ` +
        'A shell or npm between systemd and Node causes that: start `node` directly, or by `exec` in the shell',
    );
    return [];
  }
  return descriptors.filter(isUsable);
}

function isUsable({ fd, name }: PassedListener): boolean {
  const wrong = whyNotUsable(fd);
  if (wrong !== undefined) warn(`Descriptor ${fd} in LISTEN_FDS, \`${name}\`, is not used: ${wrong}`);
  return wrong === undefined;
}

function whyNotUsable(fd: number): string | undefined {
  try {
    if (!fstatSync(fd).isSocket()) return 'it is no socket';
    if (!loadLibc().available) return undefined;
    // A socket of systemd's Accept=yes is one client's connection.
    const isStream = getIntOption(fd, SOL_SOCKET, SO_TYPE) === SOCK_STREAM;
    return isStream && isListening(fd) ? undefined : 'it is no listening stream socket';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function warn(message: string): void {
  process.emitWarning(message, 'LastCallWarning');
}
