import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { basename } from 'node:path';
import { RUN_CHANNEL } from '../../run-channel.ts';
import type { ServiceChannel } from './service-channel.ts';

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

// systemd's word for a descriptor without a name.
const UNNAMED = 'unknown';

/** The first descriptor that is passed (SD_LISTEN_FDS_START, systemd/sd-daemon.h). */
const FIRST_PASSED = 3;

/**
 * Starts the program in a process group of its own, so that it does not get Ctrl-C twice. `channel`: by which it tells that it
 * stops itself.
 */
export function startProgram(start: ProgramStart, channel: ServiceChannel | undefined): ChildProcess {
  const { listeners } = start;
  const [command, ...args] = commandLine(start);
  const stdio: StdioOptions = ['inherit', 'inherit', 'inherit', ...listeners];
  // Only Node itself inherits a descriptor: npm and the like pass none on.
  const inherited = isNode(start.command) ? channel?.inherited(FIRST_PASSED + listeners.length) : undefined;
  if (inherited !== undefined) stdio.push(inherited.fd);
  const env = { ...environmentOf(start), ...(inherited?.env ?? channel?.named()) };
  return spawn(command, args, { detached: true, stdio, env });
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
  const { LISTEN_FDS: _fds, LISTEN_PID: _pid, LISTEN_PIDFDID: _id, LISTEN_FDNAMES: _names, ...rest } = env;
  // Of another run, below which this one is.
  const { [RUN_CHANNEL]: _channel, LISTEN_OPENED_BY: _opened, ...others } = rest;
  // NODE_OPTIONS reaches Node below another command: npm, a shell, a process manager.
  const isByOptions = inside && !isNode(command);
  const options = [env.NODE_OPTIONS ?? '', `--import=${register}`].join(' ').trim();
  return {
    ...others,
    ...(isByOptions ? { NODE_OPTIONS: options } : {}),
    ...(listeners.length === 0 ? {} : listenVariables(listeners.length, opened.length, env)),
  };
}

/**
 * LISTEN_FDS, LISTEN_FDNAMES, and LISTEN_OPENED_BY, by which lastcall in the program knows which of them nobody else serves.
 * sd_listen_fds_with_names(3) fails if there is not a name for each descriptor: those that lastcall has opened have none.
 * LISTEN_PIDFDID, which names the process by its inode on pidfs, is of the process that the activator has started: the program
 * would take no socket.
 */
function listenVariables(count: number, opened: number, { LISTEN_FDNAMES }: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const first = FIRST_PASSED + count - opened;
  const openedHere = Array.from({ length: opened }, (_, at) => first + at);
  const variables = { LISTEN_FDS: String(count), LISTEN_OPENED_BY: `${process.pid}:${openedHere.join()}` };
  if (LISTEN_FDNAMES === undefined) return variables;
  const names = LISTEN_FDNAMES.split(':').slice(0, count);
  const all = [...names, ...Array.from({ length: count - names.length }, () => UNNAMED)];
  return { ...variables, LISTEN_FDNAMES: all.join(':') };
}
