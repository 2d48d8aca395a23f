import type net from 'node:net';
import { loadLibc } from '../../linux/libc.ts';
import { readLastMovements } from '../../linux/tcp-info.ts';
import { descriptorOf, isTcp } from '../../node/fields.ts';

/** Who has spoken last on a connection, and when, on the clock of `performance.now()`. */
export interface LastWords {
  /** `unknown`: the kernel keeps no clock for it, and nothing has moved since it is looked at. */
  readonly by: 'client' | 'server' | 'unknown';
  readonly at: number;
}

interface Counts {
  readonly read: number;
  readonly written: number;
}

/**
 * Who speaks last on one connection. What moved before the close is the kernel's to say, so that nothing need be noted for each
 * message: it knows when data last came and went. Where it keeps no such clock, on a Unix socket, the close sees what moves from
 * its beginning on.
 */
export class LastWordsOn {
  readonly #socket: net.Socket;
  #counts: Counts;
  #seen: LastWords;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    this.#counts = countsOf(socket);
    const isUnanswered = socket.bytesRead > 0 && socket.bytesWritten === 0;
    this.#seen = { by: isUnanswered ? 'client' : 'unknown', at: performance.now() };
  }

  find(): LastWords {
    return this.#ask() ?? this.#observe();
  }

  #ask(): LastWords | undefined {
    const fd = descriptorOf(this.#socket);
    if (fd === undefined || !isTcp(this.#socket) || !loadLibc().available) return undefined;
    try {
      const { sent, received, acknowledged } = readLastMovements(fd);
      // Both in the same tick of the kernel's clock: a segment that only acknowledges, and came later, was for what we sent last.
      const isClient = received === sent ? acknowledged === received : received < sent;
      return { by: isClient ? 'client' : 'server', at: performance.now() - Math.min(received, sent) };
    } catch {
      return undefined;
    }
  }

  #observe(): LastWords {
    const { read, written } = this.#counts;
    const counts = countsOf(this.#socket);
    const [hasRead, hasWritten] = [counts.read > read, counts.written > written];
    this.#counts = counts;
    // Of both it is the program that has most likely answered.
    if (hasRead || hasWritten) this.#seen = { by: hasWritten ? 'server' : 'client', at: performance.now() };
    return this.#seen;
  }
}

function countsOf({ bytesRead, bytesWritten }: net.Socket): Counts {
  return { read: bytesRead, written: bytesWritten };
}
