import { forManyListeners } from '../many-listeners.ts';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import { checkServers } from '../check-servers.ts';
import { listeningServers } from '../listener/watch.ts';

/** Servers that answer for the service itself, as the readiness server does: nobody drains them. */
const auxiliary = new WeakSet<net.Server>();

/** Keeps a server out of every service. */
export function markAuxiliary(server: net.Server): void {
  auxiliary.add(server);
}

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
  readonly #over = forManyListeners();

  /** Throws a `LastCallError` with code `ERR_SERVER` for what is no server. */
  constructor(servers: unknown, observer: ServersObserver) {
    this.#given = checkServers(servers);
    this.#observer = observer;
  }

  begin(): void {
    if (this.#given === 'all') this.#watchAll();
    else for (const server of this.#given) this.#watch(server);
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

  end(): void {
    this.#over.abort();
  }

  #watch(server: net.Server): void {
    if (server.listening) this.#add(server);
    const add = (): void => this.#add(server);
    server.on('listening', add);
    this.#over.signal.addEventListener('abort', () => server.off('listening', add));
  }

  /** `asyncEnd` comes when the socket listens, and before the event that tells the program so. */
  #watchAll(): void {
    for (const server of listeningServers()) this.#add(server);
    const add = (message: unknown): void => {
      const { server }: { readonly server?: unknown } = Object(message);
      if (server instanceof net.Server) this.#add(server);
    };
    subscribe('tracing:net.server.listen:asyncEnd', add);
    this.#over.signal.addEventListener('abort', () => unsubscribe('tracing:net.server.listen:asyncEnd', add));
  }

  #add(server: net.Server): void {
    if (auxiliary.has(server) || this.#over.signal.aborted) return;
    const isFirst = this.#open.size === 0;
    if (!this.#open.has(server)) {
      this.#open.add(server);
      // A cluster's primary takes the handle of its server away, and never lets it say that it has closed.
      setTimeout(() => this.#remove(server), TAKEN_AFTER).unref();
      const remove = (): void => this.#remove(server);
      server.once('close', remove);
      this.#over.signal.addEventListener('abort', () => server.off('close', remove));
    }
    if (isFirst) this.#observer.onFirst();
    this.#observer.onListening(server);
  }

  #remove(server: net.Server): void {
    // It may listen anew when the end of its last time is told.
    if (server.listening) return;
    this.#open.delete(server);
    if (this.#open.size === 0) this.#observer.onNone();
  }
}
