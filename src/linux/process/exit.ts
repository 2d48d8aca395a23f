import { bindFunction, loadLibc } from '../libc.ts';

/**
 * Ends this process with this code: _exit(2). Node itself takes its signal handlers down before it exits, and a signal that comes
 * then ends the process in its own way. Does nothing without a C library.
 */
export function exitAtOnce(code: number): void {
  if (loadLibc().available) bindFunction('void _exit(int status)')(code);
}
