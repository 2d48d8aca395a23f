import { constants } from 'node:fs';
import { O_CLOEXEC } from './constants.ts';
import { bindFunction, check } from './libc.ts';

/** Makes a pipe of which neither end blocks or is inherited: pipe2(2). Throws a `SystemCallError`. */
export function openPipe(): { readonly readEnd: number; readonly writeEnd: number } {
  const pipe2 = bindFunction('int pipe2(void *ends, int flags)');
  const ends = Buffer.alloc(8);
  check('pipe2', pipe2(ends, O_CLOEXEC | constants.O_NONBLOCK));
  return { readEnd: ends.readInt32LE(0), writeEnd: ends.readInt32LE(4) };
}
