import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import { isFed, listenersThatFeed, onFed } from '../connection/handed-over/fed-servers.ts';
import { acceptedBy, fedServers, isSameServer } from '../connection/open-connections.ts';
import { sharedInProcess } from '../node/shared.ts';
import { listenerOf, listeningServers } from '../listener/listening.ts';

/** Servers such as the readiness server: no service drains them, not even one of another copy of lastcall. */
const excluded = sharedInProcess('excluded', () => new WeakSet<net.Server>());

export function excludeFromServices(server: net.Server): void {
  excluded.add(server);
}

/** `asyncEnd` is published when the socket listens, before the 'listening' event. */
const LISTENS = 'tracing:net.server.listen:asyncEnd';

/** A server that does not listen after this time, in ms, and has not emitted 'close', is forgotten. */
const TAKEN_AFTER = 1_000;

interface Reactions {
  /** The first one listens. */
  onFirst(): void;
  /** None is left: the last one has closed, its connections included. */
  onNone(): void;
  onListening(server: net.Server): void;
}

/**
 * The servers of a service: the given ones, or all of this thread, from when they begin to listen until they have closed. A server
 * that does not listen, and is handed connections, is one from the first connection on.
 */
export class ServiceServers {
  readonly #given: readonly net.Server[] | 'all';
  readonly #reactions: Reactions;
  readonly #open = new Set<net.Server>();
  readonly #ended = new AbortController();
  /** The given ones that do not listen and were handed connections. */
  readonly #fed = new Set<net.Server>();
  /** Whether one of all was. Those are not kept: a program may make one for each connection. */
  #isFed = false;

  constructor(servers: readonly net.Server[] | 'all', reactions: Reactions) {
    this.#given = servers;
    this.#reactions = reactions;
  }

  begin(): void {
    onFed((server, socket) => this.#noteFed(server, socket), this.#ended.signal);
    if (this.#given === 'all') {
      for (const server of listeningServers()) this.#add(server);
      subscribe(LISTENS, this.#onListens);
      return;
    }
    for (const server of this.#given) {
      if (server.listening) this.#add(server);
      server.on('listening', this.#onListening);
    }
  }

  /** Those that listen or have connections left. */
  get open(): readonly net.Server[] {
    return [...new Set([...this.#open, ...this.#fed])];
  }

  /** The servers to close. A given one that has closed already is in the report too. */
  get toClose(): readonly net.Server[] {
    if (this.#given !== 'all') return [...new Set([...this.#given, ...this.open])];
    return [...this.#open, ...fedServers().filter((server) => !excluded.has(server) && !this.#open.has(server))];
  }

  /** Whether one of them listens, or is handed connections by others. */
  get isListening(): boolean {
    return this.#isFed || this.#fed.size > 0 || this.open.some((server) => server.listening);
  }

  /** Whether there is one that has not closed. */
  get areThere(): boolean {
    return this.#isFed || this.#fed.size + this.#open.size > 0;
  }

  /** One for each listener that is not of this service, and hands its connections to its servers. */
  get doubts(): readonly string[] {
    if (this.#given === 'all') return [];
    const strange = listenersThatFeed(this.#given).filter((feeder) => !this.#has(feeder));
    const names = strange.flatMap((feeder) => listenerOf(feeder)?.name ?? []);
    return names.map(
      (name) => `${name} still listens, and hands its connections to this service, which was not given it`,
    );
  }

  /** Whether all given servers listen. Of `'all'` one is enough. */
  get areListening(): boolean {
    return this.#given === 'all' ? this.isListening : this.#given.every((server) => server.listening || isFed(server));
  }

  /** Removes all listeners. */
  end(): void {
    this.#ended.abort();
    unsubscribe(LISTENS, this.#onListens);
    if (this.#given !== 'all') for (const server of this.#given) server.off('listening', this.#onListening);
    for (const server of this.#open) server.off('close', this.#onClose);
  }

  readonly #onListens = (message: unknown): void => {
    const { server }: { readonly server?: unknown } = Object(message);
    if (server instanceof net.Server) this.#add(server);
  };

  #has(server: net.Server): boolean {
    return this.#given === 'all' || this.#given.some((given) => isSameServer(given, server));
  }

  #noteFed(server: net.Server, socket: net.Socket): void {
    if (excluded.has(server) || this.#fed.has(server) || this.#open.has(server) || !this.#has(server)) return;
    // A connection that a server of this service has accepted is that server's, too.
    const acceptor = acceptedBy(socket);
    if (acceptor !== undefined && this.#has(acceptor)) return;
    const isFirst = !this.areThere;
    if (this.#given === 'all') this.#isFed = true;
    else this.#fed.add(server);
    if (isFirst) this.#reactions.onFirst();
    this.#reactions.onListening(server);
  }

  #add(server: net.Server): void {
    if (excluded.has(server) || this.#ended.signal.aborted) return;
    const isFirst = !this.areThere;
    if (!this.#open.has(server)) {
      this.#open.add(server);
      server.on('close', this.#onClose);
      // A cluster's primary takes the handle of its server away, and the server never emits 'close'.
      setTimeout(() => this.#remove(server), TAKEN_AFTER).unref();
    }
    if (isFirst) this.#reactions.onFirst();
    this.#reactions.onListening(server);
  }

  #remove(server: net.Server): void {
    // It may listen again when the 'close' of its last time is emitted.
    if (server.listening || !this.#open.delete(server)) return;
    server.off('close', this.#onClose);
    if (!this.areThere) this.#reactions.onNone();
  }

  // Servers call these as their listeners, with themselves as `this`.
  readonly #onListening: (this: net.Server) => void = withServer((server) => this.#add(server));
  readonly #onClose: (this: net.Server) => void = withServer((server) => this.#remove(server));
}

function withServer(callback: (server: net.Server) => void): (this: net.Server) => void {
  return function onServerEvent() {
    callback(this);
  };
}
