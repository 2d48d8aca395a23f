import { spawnSync } from 'node:child_process';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

/** Why there is no terminal, for the `skip` option of a test. */
export const terminalMissing: string | false =
  spawnSync('tmux', ['-V']).error === undefined ? false : 'no tmux(1) here';

/** A real terminal, with a shell command in it. */
export interface Terminal {
  /** What is on its screen, once it matches. */
  shows(wanted: RegExp): Promise<string>;
  press(...keys: readonly string[]): void;
  resize(columns: number, rows: number): void;
}

let terminals = 0;

/** Opens a terminal of 100 by 24; it goes with the test. The words are put in quotes for its shell. */
export function openTerminal(t: TestContext, line: readonly string[], env: NodeJS.ProcessEnv = {}): Terminal {
  terminals += 1;
  const server = `lastcall-test-${process.pid}-${terminals}`;
  const tmux = (...args: readonly string[]): string => {
    const { status, stdout, stderr } = spawnSync('tmux', ['-L', server, '-f', '/dev/null', ...args], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C.UTF-8', TMUX: undefined, ...env },
    });
    if (status !== 0) throw new Error(`tmux ${args[0]}: ${stderr}`);
    return stdout;
  };
  t.after(() => spawnSync('tmux', ['-L', server, 'kill-server']));
  const quoted = line.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  // What follows keeps the screen, and says how it ended.
  tmux('new-session', '-d', '-x', '100', '-y', '24', `${quoted}; echo "ended with $?"; exec cat`);
  return {
    shows: async (wanted) => {
      for (;;) {
        const screen = tmux('capture-pane', '-p');
        if (wanted.test(screen)) return screen;
        await sleep(50, undefined, { signal: t.signal });
      }
    },
    press: (...keys) => void tmux('send-keys', ...keys),
    resize: (columns, rows) => void tmux('resize-window', '-x', String(columns), '-y', String(rows)),
  };
}
