import { spawnSync } from 'node:child_process';
import { needsPrograms } from '../harness/needs.ts';
import { until } from '../harness/wait.ts';

/** Why a test with a terminal is skipped, for its `skip` option. */
export const needsTerminal: string | false = needsPrograms('tmux');

/** A real terminal that runs a command. For `using`: the command is killed at the end of the block. */
export interface Terminal extends Disposable {
  /** The screen, once it matches. */
  shows(wanted: RegExp): Promise<string>;
  press(...keys: readonly string[]): void;
  resize(columns: number, rows: number): void;
}

let terminals = 0;

/** Opens a terminal of 100 by 24, and quotes the command line for its shell. */
export function openTerminal(line: readonly string[], env: NodeJS.ProcessEnv = {}): Terminal {
  terminals += 1;
  const server = `lastcall-test-${process.pid}-${terminals}`;
  // tmux(1) returns at once: the terminal is in a server of its own.
  const tmux = (...args: readonly string[]): string => {
    const { status, stdout, stderr } = spawnSync('tmux', ['-L', server, '-f', '/dev/null', ...args], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C.UTF-8', TMUX: undefined, ...env },
    });
    if (status !== 0) throw new Error(`tmux ${args[0]}: ${stderr}`);
    return stdout;
  };
  const quoted = line.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  // The rest of the line prints the exit code and keeps the screen.
  tmux('new-session', '-d', '-x', '100', '-y', '24', `${quoted}; echo "ended with $?"; exec cat`);
  return {
    shows: async (wanted) => {
      let screen = '';
      const isShown = (): boolean => wanted.test((screen = tmux('capture-pane', '-p')));
      try {
        await until(`the terminal shows ${wanted}`, isShown);
      } catch (error) {
        throw new Error(`The terminal shows:\n${screen}`, { cause: error });
      }
      return screen;
    },
    press: (...keys) => void tmux('send-keys', ...keys),
    resize: (columns, rows) => void tmux('resize-window', '-x', String(columns), '-y', String(rows)),
    [Symbol.dispose]: () => void spawnSync('tmux', ['-L', server, 'kill-server']),
  };
}
