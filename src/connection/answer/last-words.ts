import type net from 'node:net';
import { loadLibc } from '../../linux/libc.ts';
import { type LastMovements, readLastMovements } from '../../linux/tcp-info.ts';
import { descriptorOf, isTcp } from '../../node/fields.ts';
import { programSocket } from '../tls/sockets.ts';

/** Who has spoken last on a connection, and when, on the clock of `performance.now()`. */
export interface LastWords {
  /**
   * `unknown`: both have spoken in the same tick of the kernel's clock; or it keeps no clock for the connection, and nothing has
   * moved since the close began.
   */
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
  readonly #greetings: number;
  #counts: Counts;
  #seen: LastWords;

  /** `greetings`: how often the server has spoken without being asked. */
  constructor(socket: net.Socket, greetings: number) {
    this.#socket = socket;
    this.#greetings = greetings;
    this.#counts = countsOf(socket);
    this.#seen = { by: 'unknown', at: performance.now() };
  }

  /** Whether the program has never said anything. Under TLS Node has: its session tickets (RFC 8446 4.6.1) are no answer. */
  get #isSilent(): boolean {
    return programSocket(this.#socket).bytesWritten === 0;
  }

  /** Call it for a client that has said something. */
  find(): LastWords {
    return this.#ask() ?? this.#observe();
  }

  #ask(): LastWords | undefined {
    const fd = descriptorOf(this.#socket);
    if (fd === undefined || !isTcp(this.#socket) || !loadLibc().available) return undefined;
    try {
      const moved = readLastMovements(fd);
      if (this.#isSilent) return { by: 'client', at: performance.now() - moved.received };
      return { by: lastOf(moved, this.#greetings), at: performance.now() - Math.min(moved.received, moved.sent) };
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
    return this.#isSilent ? { ...this.#seen, by: 'client' } : this.#seen;
  }
}

/**
 * Whose data moved last. Where both moved in the same tick, two things tell. A segment of the client's that came later without
 * data acknowledges ours. And who asks and is answered has sent no more segments than we have; one more is a question.
 */
function lastOf(
  { sent, received, acknowledged, segmentsSent, segmentsReceived }: LastMovements,
  greetings: number,
): LastWords['by'] {
  if (received !== sent) return received < sent ? 'client' : 'server';
  if (acknowledged < received) return 'server';
  return segmentsReceived > segmentsSent - greetings ? 'client' : 'unknown';
}

function countsOf({ bytesRead, bytesWritten }: net.Socket): Counts {
  return { read: bytesRead, written: bytesWritten };
}
