import { spawn } from 'node:child_process';

/** What the keeper does when this process has gone without a word: the signal, and to whom; a process group is negative. */
export interface Testament {
  readonly signal: NodeJS.Signals;
  readonly target: number;
}

/** Sees to the program if this process is killed: a program must not be left alone behind a shut gate. */
export interface Keeper {
  readonly pid: number | undefined;
  /** This process ends in order: the keeper goes, and does nothing. */
  dismiss(): void;
}

// It waits for a line; the end of its input, without one, is the end of whoever held the other end: this process alone.
const SCRIPT = 'read -r _ || kill -s "$1" -- "$2"';

/** Starts a shell that waits. Undefined pid where there is no /bin/sh. Never throws. */
export function startKeeper({ signal, target }: Testament): Keeper {
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'lastcall-keeper', signal.replace(/^SIG/, ''), String(target)], {
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
