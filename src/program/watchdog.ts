import { spawn } from 'node:child_process';

/** What the watchdog does if this process is killed. */
export interface WatchdogOptions {
  readonly signal: NodeJS.Signals;
  /** The PID that gets the signal; negative for a process group. */
  readonly target: number;
  /** Whether to kill a process that has not ended 5 s later. */
  readonly kills?: boolean;
}

/** A process that ends the program if this process is killed: the program must not be left behind a shut gate. */
export interface Watchdog {
  readonly pid: number | undefined;
  /** Ends the watchdog, which then does nothing. */
  dismiss(): void;
}

// The shell waits for a line. The end of its input without a line means that this process, the only writer, was killed.
// Field 22 of /proc/PID/stat is the start time: a process with another start time is another process.
const SCRIPT = `
  began() { read -r line < "/proc/$1/stat" && set -- \${line##*) } && echo "\${20}"; }
  [ -z "$3" ] || at=$(began "$2")
  read -r _ && exit
  kill -s "$1" -- "$2"
  [ -z "$3" ] && exit
  sleep 5
  [ -n "$at" ] && [ "$(began "$2")" = "$at" ] && kill -s KILL -- "$2"`;

/** Starts the watchdog, a shell. Its pid is undefined if there is no /bin/sh. Never throws. */
export function startWatchdog({ signal, target, kills = false }: WatchdogOptions): Watchdog {
  const args = [signal.replace(/^SIG/, ''), String(target), kills ? 'kills' : ''];
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'lastcall-watchdog', ...args], {
    // A session of its own, so that it gets no signal to our process group.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
    env: {},
  });
  // Without a shell the pid is undefined. A broken pipe means that the watchdog was dismissed.
  shell.on('error', () => {});
  shell.stdin.on('error', () => {});
  shell.unref();
  if ('unref' in shell.stdin && typeof shell.stdin.unref === 'function') shell.stdin.unref();
  return { pid: shell.pid, dismiss: () => void shell.stdin.end('done\n') };
}
