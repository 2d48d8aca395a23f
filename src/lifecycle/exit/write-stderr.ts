import { writeSync } from 'node:fs';

/** A pipe that another process has made non-blocking may be full for a moment; so often and so long is waited, in milliseconds. */
const TRIES = 20;
const WAIT = 5;

/**
 * Writes to stderr at once, as Node does with its own last message. Where nobody reads any more it is lost, and that is no
 * error: one on `process.stderr` would be uncaught, and be written in turn.
 */
export function writeStderr(text: string): void {
  let left = Buffer.from(text);
  for (let tries = 0; left.length > 0 && tries < TRIES; tries += 1) {
    try {
      left = left.subarray(writeSync(2, left));
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'EAGAIN') return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT);
    }
  }
}
