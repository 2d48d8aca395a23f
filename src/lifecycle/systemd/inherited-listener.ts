import { fstatSync } from 'node:fs';
import { messageOf, optionError } from '../../errors.ts';
import { SO_TYPE, SOCK_STREAM, SOL_SOCKET } from '../../linux/constants.ts';
import { loadLibc } from '../../linux/libc.ts';
import { ownProcessId } from '../../linux/process/pidfd.ts';
import { getIntOption, isListening } from '../../linux/sockets.ts';
import { takePassed } from '../../listener/listen-fds.ts';
import { warn } from '../warn.ts';

type PassedListener = { readonly fd: number; readonly name: string };

/** Passed and not yet returned; undefined before the first call. */
let left: PassedListener[] | undefined;
/** The names of all that were passed. */
let names: readonly string[] = [];

/**
 * A listening socket that systemd, or another program with its protocol, has opened for this process (socket activation,
 * sd_listen_fds(3)). Clients can connect before the program runs, and during its restart. Undefined if there is none: the
 * program then listens itself.
 *
 * Each socket is returned once, in the order in which they were passed: with a name the first of that name
 * (`FileDescriptorName=` of the `.socket` unit, or `unknown` if it was passed without a name), without a name the first of all.
 * The first call removes LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID and LISTEN_PIDFDID from the environment, so that no child
 * process uses them. (The sockets themselves are not inherited: Node prevents that when it starts.)
 *
 * LISTEN_PID must be this process. With a shell or npm between systemd and Node it is another one, which causes a warning.
 *
 * @throws `LastCallError` with code `ERR_OPTION` for a name that is not possible.
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
      `The supervisor has passed ${names.map((passed) => `\`${passed}\``).join(', ')}, but no socket named \`${name}\``,
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
  const { pid, processId, descriptors } = takePassed();
  if (descriptors.length === 0) return [];
  const own = processId === undefined ? undefined : ownProcessId();
  if (pid === String(process.pid) && own !== undefined && processId !== String(own)) {
    warn(
      `The sockets in LISTEN_FDS are not used: LISTEN_PIDFDID is ${processId}, and this process is ${own}. ` +
        'They were passed to an earlier process that had the same PID',
    );
    return [];
  }
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
    if (!fstatSync(fd).isSocket()) return 'it is not a socket';
    if (!loadLibc().available) return undefined;
    // A socket of systemd's Accept=yes is one client's connection.
    const isStream = getIntOption(fd, SOL_SOCKET, SO_TYPE) === SOCK_STREAM;
    return isStream && isListening(fd) ? undefined : 'it is not a listening stream socket';
  } catch (error) {
    return messageOf(error);
  }
}
