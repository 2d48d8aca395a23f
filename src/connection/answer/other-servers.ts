import type net from 'node:net';
import type { ClosingConnection } from '../closing-connection.ts';

/** What one peer has on one server. */
interface Place {
  readonly open: Set<ClosingConnection>;
  /** When the last of those that are over ended. */
  endedAt: number;
  /** When something moved here last, as far as it was asked in this round. */
  movedAt: number | undefined;
}

/**
 * The raw connections of a close by their peers. In some protocols one connection is quiet while its peer works on another, at
 * another server of the same program: FTP has one for the commands, and one for each file (RFC 959 2.3).
 */
export class PeersElsewhere {
  readonly #places = new Map<string, Map<net.Server, Place>>();
  /** Of a connection that is over the peer is not known any more. */
  readonly #placeOf = new WeakMap<ClosingConnection, Place>();
  readonly #asked = new Set<Place>();

  /** Forgets the answers of the last round. */
  refresh(): void {
    for (const place of this.#asked) place.movedAt = undefined;
    this.#asked.clear();
  }

  add(connection: ClosingConnection): void {
    const peer = peerOf(connection);
    if (peer === undefined) return;
    const places = this.#places.get(peer) ?? new Map<net.Server, Place>();
    this.#places.set(peer, places);
    const place = places.get(connection.server) ?? {
      open: new Set(),
      endedAt: Number.NEGATIVE_INFINITY,
      movedAt: undefined,
    };
    places.set(connection.server, place);
    place.open.add(connection);
    this.#placeOf.set(connection, place);
  }

  /** The connection is over. */
  end(connection: ClosingConnection): void {
    const place = this.#placeOf.get(connection);
    if (place?.open.delete(connection) === true) place.endedAt = performance.now();
  }

  /** When the peer of a connection has moved anything on another server. */
  movedAt(connection: ClosingConnection): number {
    const places = this.#places.get(peerOf(connection) ?? '') ?? [];
    const others = [...places].filter(([server]) => server !== connection.server).map(([, place]) => place);
    return Math.max(Number.NEGATIVE_INFINITY, ...others.map((place) => this.#ask(place)));
  }

  #ask(place: Place): number {
    this.#asked.add(place);
    place.movedAt ??= [...place.open].reduce((latest, { movedAt }) => Math.max(latest, movedAt), place.endedAt);
    return place.movedAt;
  }
}

/** An IPv4 peer has another name where it came to a socket of both families. */
function peerOf({ socket }: ClosingConnection): string | undefined {
  return socket.remoteAddress?.replace(/^::ffff:/, '');
}
