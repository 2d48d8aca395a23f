import type net from 'node:net';
import { writeQueueSize } from '../../node/fields.ts';
import { hasUnread } from '../quiet.ts';

// Node reads nothing while it writes, and under TLS a write ends in the turn after it: what it had read before is worked off then.
const LEAST_TURNS = 2;

// How soon to look again where Node does not read because the client does not, in milliseconds.
const LOOK_AGAIN_AFTER = 10;

/**
 * Calls back once a connection has been read empty, right after the loop has read: what has arrived was taken, and nothing that
 * was taken is left to work off. `longest`: for how long a client may keep it from that, in ms. One that sends all the time, or
 * does not read, would do so for ever.
 */
export function whenRead(transport: net.Socket, longest: number, callback: () => void): void {
  const until = performance.now() + longest;
  let bytesRead: number | undefined;
  const look = (turn: number): void => {
    const isRead = writeQueueSize(transport) === 0 && !hasUnread(transport);
    if (turn >= LEAST_TURNS && (isRead || performance.now() > until)) return callback();
    const isReading = bytesRead !== transport.bytesRead;
    bytesRead = transport.bytesRead;
    if (isReading || turn < LEAST_TURNS) setImmediate(look, turn + 1);
    else setTimeout(look, LOOK_AGAIN_AFTER, turn + 1);
  };
  setImmediate(look, 1);
}
