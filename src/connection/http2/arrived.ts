import type net from 'node:net';
import { writeQueueSize } from '../../node/fields.ts';
import { hasUnread } from '../quiet.ts';

// Node reads nothing while it writes, and under TLS a write ends in the turn after it: what it had read before is worked off then.
const LEAST_TURNS = 2;

// How soon to look again where Node does not read because the client does not, in milliseconds.
const LOOK_AGAIN_AFTER = 10;

// What is sent goes out at the end of the turn. After a burst was read a turn takes long, and the client goes on sending meanwhile.
// So it has to be calm for a while first, which is longer than most handlers need: turns of at most so many milliseconds.
const CALM_TURN = 5;
const CALM_FOR = 10;
// A loop that is always busy is not waited for longer than this.
const LONGEST_UNREST = 100;

/**
 * Calls back once a connection has been read empty, right after the loop has read: what has arrived was taken, and nothing that
 * was taken is left to work off. `longest`: for how long a client may keep it from that, in ms. One that sends all the time, or
 * does not read, would do so for ever.
 */
export function whenRead(transport: net.Socket, longest: number, callback: () => void): void {
  const began = performance.now();
  let [lastTurn, calmSince] = [began, began];
  let bytesRead: number | undefined;
  const look = (turn: number): void => {
    const now = performance.now();
    if (now - lastTurn > CALM_TURN) calmSince = now;
    lastTurn = now;
    const isCalm = now - calmSince >= CALM_FOR || now - began > Math.min(longest, LONGEST_UNREST);
    const isRead = isCalm && writeQueueSize(transport) === 0 && !hasUnread(transport);
    if (turn >= LEAST_TURNS && (isRead || now - began > longest)) return callback();
    const isReading = bytesRead !== transport.bytesRead;
    bytesRead = transport.bytesRead;
    if (isReading || !isCalm || turn < LEAST_TURNS) setImmediate(look, turn + 1);
    else setTimeout(look, LOOK_AGAIN_AFTER, turn + 1);
  };
  setImmediate(look, 1);
}
