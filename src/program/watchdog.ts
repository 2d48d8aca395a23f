import { spawn } from 'node:child_process';

/** What the watchdog does if this process is killed or suspended. */
export interface WatchdogOptions {
  readonly signal: NodeJS.Signals;
  /** The PID that gets the signal; negative for a process group. */
  readonly target: number;
  /** Whether to kill a process that has not ended 5 s later. */
  readonly kills?: boolean;
}

/** How long the watchdog waits before it kills, in s. */
const KILL_AFTER = 5;
// A stop that is not suspended is over by then, in ms.
const LATE = 1_000;

/**
 * A process that ends the program if this process is killed, or stays suspended past the deadline of a stop: the program must not
 * be left behind a shut gate.
 */
export interface Watchdog {
  readonly pid: number | undefined;
  /** A stop has begun, and is over after this time in ms. If this process is suspended then, it is continued. */
  beginStop(most: number): void;
  /** Ends the watchdog, which then does nothing. */
  dismiss(): void;
}

// The shell waits for lines. The end of its input without the line `done` means that this process, the only writer, was killed.
// Fields 3 and 22 of /proc/PID/stat are the state and the start time: a process with another start time is another process. The
// second field, the program's name, may contain anything, even a line's end. `sleep` is of the shell's own process group, which
// ends with it.
const SCRIPT = `
  fields() {
    stat=
    while read -r line; do stat="$stat$line "; done < "/proc/$1/stat" || return
    set -- \${stat##*) }
    state=$1 began=\${20}
  }
  began() { began=; fields "$1" 2>/dev/null; echo "$began"; }
  is_suspended() { fields "$PPID" 2>/dev/null && case $state in T | t) ;; *) false ;; esac; }
  end() {
    kill -s "$signal" -- "$target"
    [ -z "$kills" ] && return
    sleep ${KILL_AFTER}
    [ -n "$at" ] && [ "$(began "$target")" = "$at" ] && kill -s KILL -- "$target"
  }
  watch() {
    sleep "$1"
    is_suspended || return
    kill -s CONT "$PPID"
    sleep ${KILL_AFTER}
    is_suspended && end
  }
  signal=$1 target=$2 kills=$3 at=
  [ -z "$kills" ] || at=$(began "$target")
  trap : TERM
  while read -r word seconds; do
    case $word in
      stop) watch "$seconds" & ;;
      done) kill -s TERM 0; exit ;;
    esac
  done
  kill -s TERM 0
  end`;

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
  return {
    pid: shell.pid,
    beginStop: (most) => void shell.stdin.write(`stop ${Math.ceil((most + LATE) / 1_000)}\n`),
    dismiss: () => void shell.stdin.end('done\n'),
  };
}
