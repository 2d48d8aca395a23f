import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { basename } from 'node:path';

/** How to start a program. */
export interface ProgramStart {
  readonly command: string;
  readonly args: readonly string[];
  /** Whether it is a Node program that stops itself, by `lastcall/register`. */
  readonly inside: boolean;
  /** The URL of `lastcall/register`. */
  readonly register: string;
  /** Descriptors of listening sockets to pass to it (sd_listen_fds(3)). */
  readonly listeners: readonly number[];
  /** Those of `listeners` that this process has opened for the program: the last ones. */
  readonly opened: readonly number[];
  readonly env: NodeJS.ProcessEnv;
}

// LISTEN_PID must be the program's own PID, which is unknown before it starts: a shell sets it, and then becomes the program.
const SET_LISTEN_PID = 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"';

/** The first descriptor that is passed (SD_LISTEN_FDS_START, systemd/sd-daemon.h). */
const FIRST_PASSED = 3;

/** Starts the program in a process group of its own, so that it does not get Ctrl-C twice. */
export function startProgram(start: ProgramStart): ChildProcess {
  const [command, ...args] = commandLine(start);
  const stdio: StdioOptions = ['inherit', 'inherit', 'inherit', ...start.listeners];
  return spawn(command, args, { detached: true, stdio, env: environmentOf(start) });
}

/** Whether the command is Node. */
export function isNode(command: string): boolean {
  return /^node(js)?$/.test(basename(command));
}

function commandLine({ command, args, inside, register, listeners }: ProgramStart): readonly [string, ...string[]] {
  const isDirect = inside && isNode(command);
  const line: readonly [string, ...string[]] = [command, ...(isDirect ? [`--import=${register}`] : []), ...args];
  return listeners.length === 0 ? line : ['/bin/sh', '-c', SET_LISTEN_PID, 'sh', ...line];
}

function environmentOf({ command, inside, register, listeners, opened, env }: ProgramStart): NodeJS.ProcessEnv {
  const { LISTEN_FDS: _fds, LISTEN_PID: _pid, LISTEN_OPENED_BY: _opened, ...others } = env;
  // NODE_OPTIONS reaches Node below another command: npm, a shell, a process manager.
  const isByOptions = inside && !isNode(command);
  const first = FIRST_PASSED + listeners.length - opened.length;
  const options = [env.NODE_OPTIONS ?? '', `--import=${register}`].join(' ').trim();
  return {
    ...others,
    ...(isByOptions ? { NODE_OPTIONS: options } : {}),
    ...(listeners.length === 0
      ? {}
      : {
          LISTEN_FDS: String(listeners.length),
          // lastcall in the program then knows that nobody else serves them.
          LISTEN_OPENED_BY: `${process.pid}:${opened.map((_, at) => first + at).join()}`,
        }),
  };
}
