import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { basename } from 'node:path';

/** A program as it is to be started. */
export interface ProgramStart {
  readonly command: string;
  readonly args: readonly string[];
  /** Whether it is a Node program that stops itself, from inside. */
  readonly inside: boolean;
  /** `lastcall/register`, as a URL. */
  readonly register: string;
  /** Listening sockets that are passed to it (sd_listen_fds(3)), as descriptors here. */
  readonly listeners: readonly number[];
  readonly env: NodeJS.ProcessEnv;
}

// LISTEN_PID must be the program's own number, which nobody knows before it is there: a shell says it, and becomes the program.
const SAY_PID = 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"';

/** Starts the program in a process group of its own, so that Ctrl-C does not arrive twice. */
export function startProgram(start: ProgramStart): ChildProcess {
  const [command, ...args] = commandLine(start);
  const stdio: StdioOptions = ['inherit', 'inherit', 'inherit', ...start.listeners];
  return spawn(command, args, { detached: true, stdio, env: environmentOf(start) });
}

/** Whether the command is Node itself. */
export function isNode(command: string): boolean {
  return /^node(js)?$/.test(basename(command));
}

function commandLine({ command, args, inside, register, listeners }: ProgramStart): readonly [string, ...string[]] {
  const isDirect = inside && isNode(command);
  const line: readonly [string, ...string[]] = [command, ...(isDirect ? [`--import=${register}`] : []), ...args];
  return listeners.length === 0 ? line : ['/bin/sh', '-c', SAY_PID, 'sh', ...line];
}

function environmentOf({ command, inside, register, listeners, env }: ProgramStart): NodeJS.ProcessEnv {
  const { LISTEN_FDS: _fds, LISTEN_PID: _pid, ...others } = env;
  // Whatever starts Node further down: npm, a shell, a process manager.
  const isByOptions = inside && !isNode(command);
  const options = [env.NODE_OPTIONS ?? '', `--import=${register}`].join(' ').trim();
  return {
    ...others,
    ...(isByOptions ? { NODE_OPTIONS: options } : {}),
    ...(listeners.length === 0 ? {} : { LISTEN_FDS: String(listeners.length) }),
  };
}
