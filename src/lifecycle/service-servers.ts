import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import { listeningServers } from '../listener/listening.ts';

/** Servers that answer for the service itself, as the readiness server does: nobody drains them. */
const auxiliary = new WeakSet<net.Server>();

/** Keeps a server out of every service. */
export function markAuxiliary(server: net.Server): void {
  auxiliary.add(server);
}

/** `asyncEnd` comes when the socket listens, and before the event that tells the program so. */
const LISTENS = 'tracing:net.server.listen:asyncEnd';

/** When a server that does not listen any more, and has not closed, is nobody's; in milliseconds. */
const TAKEN_AFTER = 1_000;

/** What a service is told of its servers. */
export interface ServersObserver {
  /** The first one listens. */
  onFirst(): void;
  /** None is left: the last one has closed, its connections included. */
  onNone(): void;
  onListening(server: net.Server): void;
}

/** The servers of a service: those that were named, or all of this thread, as they begin to listen and as they close. */
export class WatchedServers {
  readonly #given: readonly net.Server[] | 'all';
  readonly #observer: ServersObserver;
  readonly #open = new Set<net.Server>();
  #hasEnded = false;

  constructor(servers: readonly net.Server[] | 'all', observer: ServersObserver) {
    this.#given = servers;
    this.#observer = observer;
  }

  begin(): void {
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

  /** Those that listen, or have connections left. */
  get open(): readonly net.Server[] {
    return [...this.#open];
  }

  /** What a close is to be given: named servers that have closed already have their last word in the report, too. */
  get toClose(): readonly net.Server[] {
    return this.#given === 'all' ? this.open : [...new Set([...this.#given, ...this.#open])];
  }

  /** Whether one of them listens. */
  get isListening(): boolean {
    return this.open.some((server) => server.listening);
  }

  /** Whether all that were named listen; of all servers one is enough. */
  get areListening(): boolean {
    return this.#given === 'all' ? this.isListening : this.#given.every((server) => server.listening);
  }

  /** Nothing is left on a server, and of a server. */
  end(): void {
    this.#hasEnded = true;
    unsubscribe(LISTENS, this.#onListens);
    if (this.#given !== 'all') for (const server of this.#given) server.off('listening', this.#onListening);
    for (const server of this.#open) server.off('close', this.#onClose);
  }

  readonly #onListens = (message: unknown): void => {
    const { server }: { readonly server?: unknown } = Object(message);
    if (server instanceof net.Server) this.#add(server);
  };

  #add(server: net.Server): void {
    if (auxiliary.has(server) || this.#hasEnded) return;
    const isFirst = this.#open.size === 0;
    if (!this.#open.has(server)) {
      this.#open.add(server);
      server.on('close', this.#onClose);
      // A cluster's primary takes the handle of its server away, and never lets it say that it has closed.
      setTimeout(() => this.#remove(server), TAKEN_AFTER).unref();
    }
    if (isFirst) this.#observer.onFirst();
    this.#observer.onListening(server);
  }

  #remove(server: net.Server): void {
    // It may listen anew when the end of its last time is told.
    if (server.listening || !this.#open.delete(server)) return;
    server.off('close', this.#onClose);
    if (this.#open.size === 0) this.#observer.onNone();
  }

  // Called by servers, as their listeners: `this` is the server there.
  readonly #onListening: (this: net.Server) => void = tellServer((server) => this.#add(server));
  readonly #onClose: (this: net.Server) => void = tellServer((server) => this.#remove(server));
}

function tellServer(tell: (server: net.Server) => void): (this: net.Server) => void {
  return function onServerEvent() {
    tell(this);
  };
}
