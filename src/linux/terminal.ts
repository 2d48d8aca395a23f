import { closeSync, constants, openSync } from 'node:fs';
import { EIO, SIG_IGN, TIOCGWINSZ } from './constants.ts';
import { bindFunction, loadLibc } from './libc.ts';
import { constants as systemConstants } from 'node:os';

/** The size of the controlling terminal (struct winsize, asm-generic/termios.h). Undefined without one, or after it hung up. */
export function readTerminalSize(): string | undefined {
  const loaded = loadLibc();
  if (!loaded.available) return undefined;
  try {
    const fd = openSync('/dev/tty', constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK);
    try {
      const size = Buffer.alloc(8);
      return loaded.libc.ioctl(fd, TIOCGWINSZ, size) === 0 ? size.toString('hex') : undefined;
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}

/**
 * From now on neither Ctrl-Z nor output in the background (`stty tostop`) suspends this process: signal(2). They are ignored,
 * not caught: the kernel repeats a write that a caught SIGTTOU interrupts (__tty_check_change, drivers/tty/tty_jobctrl.c). Node's
 * child processes do not inherit this.
 */
export function ignoreTerminalStops(): void {
  if (!loadLibc().available) return;
  const signal = bindFunction('intptr_t signal(int number, intptr_t handler)');
  for (const name of ['SIGTSTP', 'SIGTTOU'] as const) signal(systemConstants.signals[name], SIG_IGN);
}

/**
 * Puts /dev/null in the place of standard streams whose terminal has hung up, for a process that is about to exit. Node resets the
 * terminal then, and aborts if that fails (ResetStdio, src/node.cc), so that the exit code would be lost.
 */
export function dropHungTerminal(): void {
  const loaded = loadLibc();
  if (!loaded.available) return;
  const { ioctl, errno, close } = loaded.libc;
  for (const fd of [0, 1, 2]) {
    if (ioctl(fd, TIOCGWINSZ, Buffer.alloc(8)) === 0 || errno() !== EIO) continue;
    close(fd);
    // The lowest free number is this one.
    openSync('/dev/null', constants.O_RDWR);
  }
}
