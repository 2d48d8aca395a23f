import { readTerminalSize } from '../../linux/terminal.ts';

const ALWAYS_ASK: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT'];
/** Forwarded to the program at once. A program without a handler ends by them, as it would without lastcall. */
const FORWARDED: readonly NodeJS.Signals[] = [
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGWINCH',
  'SIGALRM',
  'SIGPWR',
];
/** They cannot be caught, come from the kernel at an error, or when a child ends. */
const NEVER_ASK: readonly NodeJS.Signals[] = ['SIGKILL', 'SIGSTOP', 'SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGCHLD'];

/** What the signals that `lastcall run` gets mean. */
export interface RunSignals {
  /** They ask for a stop: whoever knows how this program is stopped may send lastcall the same signal. */
  readonly asking: readonly NodeJS.Signals[];
  readonly forwarded: readonly NodeJS.Signals[];
}

export function runSignals(stopSignal: NodeJS.Signals): RunSignals {
  const asking = [...new Set([...ALWAYS_ASK, ...(NEVER_ASK.includes(stopSignal) ? [] : [stopSignal])])];
  return { asking, forwarded: FORWARDED.filter((name) => !asking.includes(name)) };
}

/**
 * Tells the SIGWINCH of a terminal that was resized from one that somebody sent: the kernel sends it only if the size has
 * changed (tty_do_resize, drivers/tty/tty_io.c).
 */
export class Resizes {
  #size: string | undefined = readTerminalSize();

  wasResized(): boolean {
    const size = readTerminalSize();
    const hasChanged = size !== undefined && size !== this.#size;
    this.#size = size ?? this.#size;
    return hasChanged;
  }
}
