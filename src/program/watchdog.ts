import { spawn } from 'node:child_process';

/** What the keeper does when this process has gone without a word. */
export interface Testament {
  readonly signal: NodeJS.Signals;
  /** Who gets the signal; a process group is negative. */
  readonly target: number;
  /** Whether a process that has not ended 5 s later is killed. */
  readonly kills?: boolean;
}

/** Sees to the program if this process is killed: a program must not be left alone behind a shut gate. */
export interface Keeper {
  readonly pid: number | undefined;
  /** This process ends in order: the keeper goes, and does nothing. */
  dismiss(): void;
}

// It waits for a line; the end of its input, without one, is the end of whoever held the other end: this process alone.
// The 22nd field of /proc/PID/stat says when a process began: one that began at another time is another one.
const SCRIPT = `
  began() { read -r line < "/proc/$1/stat" && set -- \${line##*) } && echo "\${20}"; }
  [ -z "$3" ] || at=$(began "$2")
  read -r _ && exit
  kill -s "$1" -- "$2"
  [ -z "$3" ] && exit
  sleep 5
  [ -n "$at" ] && [ "$(began "$2")" = "$at" ] && kill -s KILL -- "$2"`;

/** Starts a shell that waits. Undefined pid where there is no /bin/sh. Never throws. */
export function startKeeper({ signal, target, kills = false }: Testament): Keeper {
  const args = [signal.replace(/^SIG/, ''), String(target), kills ? 'kills' : ''];
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'lastcall-keeper', ...args], {
    // A session of its own: what is sent to our process group is not for it.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
    env: {},
  });
  // No shell: it is told by the missing pid. A pipe that is gone: it was dismissed.
  shell.on('error', () => {});
  shell.stdin.on('error', () => {});
  shell.unref();
  if ('unref' in shell.stdin && typeof shell.stdin.unref === 'function') shell.stdin.unref();
  return { pid: shell.pid, dismiss: () => void shell.stdin.end('done\n') };
}
