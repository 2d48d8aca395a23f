import { ACK, FIN, RST, type Segment, SYN } from './packet.ts';
import type { Direction } from './rule.ts';

/** Knows which flows wait for the final ACK of their handshake. Watches both directions. */
export class Handshakes {
  readonly #answered = new Set<number>();

  /** Takes note of a packet; returns whether it is the final ACK of a handshake. */
  observe(direction: Direction, segment: Segment): boolean {
    const flow = flowOf(direction, segment);
    if (direction === 'to client') {
      if (isSynAck(segment)) this.#answered.add(flow);
      return false;
    }
    // Whatever the client sends next, a new SYN on the same ports included, the wait for a final ACK is over.
    return this.#answered.delete(flow) && isPureAck(segment);
  }
}

export function isSynAck({ flags }: Segment): boolean {
  return (flags & (SYN | ACK)) === (SYN | ACK);
}

/** An ACK that says nothing else. */
export function isPureAck({ flags, payload }: Segment): boolean {
  return (flags & (ACK | SYN | FIN | RST)) === ACK && payload === 0;
}

function flowOf(direction: Direction, { version, source, destination }: Segment): number {
  const [client, server] = direction === 'to server' ? [source, destination] : [destination, source];
  return (version * 2 ** 16 + client) * 2 ** 16 + server;
}
