import net from 'node:net';
import { detachFilter } from '../linux/filter.ts';
import { descriptorOf, parserOn, serverOf } from '../node-fields.ts';
import { type CutConnection, type Peer, type Protocol, remoteName, unacknowledged } from './connection.ts';
import { isHttp1Server, sayCloseOnRunningResponse, stopConnectionsChecker, unhookParser } from './http1.ts';
import { endSession } from './http2.ts';
import { isBusy, type Movement, observe, patienceWith, quietFor } from './quiet.ts';
import {
  connectionsOf,
  isHttp2Server,
  programSocket,
  sessionsOf,
  watchConnections,
  watchDrops,
  watchSessions,
} from './registry.ts';

/** How connections are ended. Times are in milliseconds. */
export interface EndConnectionsOptions {
  readonly idleWait: number;
  readonly lingerWait: number;
  /** Whether connections of this server inherit the filter of a held gate. */
  readonly isFiltered: (server: net.Server) => boolean;
  readonly onEnd: (remote: string, cut: CutConnection | undefined) => void;
  /** Aborted when the close is over: everything this has set up is taken away. */
  readonly over: AbortSignal;
}

/** What a connection is doing on its way to its end. */
type Step = 'open' | 'lingering';

interface Ending {
  readonly server: net.Server;
  readonly protocol: Protocol;
  readonly fromQueue: boolean;
  step: Step;
  /** When it came to this step. */
  since: number;
  seen: Movement;
  /** When to look at it again. */
  due: number;
}

// How often to look for connections that have become quiet, at the least and at the most, in milliseconds.
const LOOK_AT_LEAST = 100;
const LOOK_AT_MOST = 10;

/** The accepted connections of the servers of one close, on their way to their end. */
export class ConnectionEnder {
  readonly #options: EndConnectionsOptions;
  readonly #endings = new Map<net.Socket, Ending>();
  readonly #cut: CutConnection[] = [];
  readonly #noMoreArrivals = new Map<net.Server, AbortController>();
  #atStart = 0;
  #fromQueues = 0;
  #ended = 0;
  #lateRequests = 0;
  #timer: NodeJS.Timeout | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(servers: readonly net.Server[], options: EndConnectionsOptions) {
    this.#options = options;
    options.over.addEventListener('abort', () => this.#stop());
    for (const server of servers) this.#begin(server);
    this.#look();
  }

  get open(): number {
    return this.#endings.size;
  }

  get ended(): number {
    return this.#ended;
  }

  /** The part of the report that is about connections. */
  report(): {
    atStart: number;
    fromQueues: number;
    ended: number;
    lateRequests: number;
    cut: readonly CutConnection[];
  } {
    return {
      atStart: this.#atStart,
      fromQueues: this.#fromQueues,
      ended: this.#ended,
      lateRequests: this.#lateRequests,
      cut: this.#cut,
    };
  }

  /** The listener has closed: whoever comes now has come to one that is not this close's. */
  endArrivals(server: net.Server): void {
    this.#noMoreArrivals.get(server)?.abort();
  }

  /** Resolves when no connection is open. Call it once nobody new can come. */
  async allEnded(): Promise<void> {
    if (this.#endings.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Cuts whatever is still open and names it. */
  cutAll(reason: string): void {
    for (const [socket, ending] of this.#endings) {
      this.#cut.push({
        remote: remoteName(socket),
        protocol: ending.protocol,
        reason,
        unacknowledged: unacknowledged(socket),
      });
      this.#endings.delete(socket);
      this.#options.onEnd(remoteName(socket), this.#cut.at(-1));
      programSocket(socket).destroy();
      socket.destroy();
    }
    this.#onEmpty?.();
  }

  /** Counts clients that were connected and that the program never accepted. */
  countUnaccepted(clients: number): void {
    this.#fromQueues += clients;
    for (let client = 0; client < clients; client++) {
      this.#cut.push({ remote: 'unknown', protocol: 'raw', reason: 'never accepted', unacknowledged: 0 });
    }
  }

  #begin(server: net.Server): void {
    const { over } = this.#options;
    const noMore = new AbortController();
    this.#noMoreArrivals.set(server, noMore);
    over.addEventListener('abort', () => noMore.abort());
    const arrive = (socket: net.Socket): void => {
      if (this.#adopt(server, socket, true)) this.#fromQueues += 1;
    };
    watchConnections(server, arrive, noMore.signal);
    watchDrops(server, (peer) => this.#countDropped(peer), noMore.signal);
    watchSessions(
      server,
      (session) => endSession(session, 'after its first stream', this.#options.idleWait, over),
      over,
    );
    for (const socket of connectionsOf(server)) {
      if (this.#adopt(server, socket, false)) this.#atStart += 1;
    }
    for (const session of sessionsOf(server)) endSession(session, 'now', this.#options.idleWait, over);
  }

  /** False for one that it has already: handed from one server to another, it arrives at both. */
  #adopt(server: net.Server, socket: net.Socket, fromQueue: boolean): boolean {
    if (this.#endings.has(socket)) return false;
    const now = performance.now();
    // What the connection moved before is the kernel's to tell; where it cannot, it counts as having moved just now.
    const seen = { bytes: socket.bytesRead + socket.bytesWritten, at: now };
    const speaks = serverOf(programSocket(socket));
    const protocol = protocolOf(speaks instanceof net.Server ? speaks : server);
    const ending: Ending = { server, protocol, fromQueue, step: 'open', since: now, seen, due: now };
    this.#endings.set(socket, ending);
    if (ending.protocol === 'http/1.1' && !fromQueue) sayCloseOnRunningResponse(programSocket(socket));
    if (fromQueue && this.#options.isFiltered(server)) freeOfFilter(socket);
    const remote = remoteName(socket);
    socket.once('close', () => this.#hasEnded(socket, remote));
    this.#lookAgainIn(this.#options.idleWait);
    return true;
  }

  #countDropped(peer: Peer | undefined): void {
    this.#fromQueues += 1;
    this.#cut.push({ remote: remoteName(peer ?? {}), protocol: 'raw', reason: 'dropped', unacknowledged: 0 });
  }

  #hasEnded(socket: net.Socket, remote: string): void {
    if (!this.#endings.delete(socket)) return;
    this.#ended += 1;
    this.#options.onEnd(remote, undefined);
    if (this.#endings.size === 0) this.#onEmpty?.();
  }

  /** Ends what has been quiet for long enough, and plans the next look. */
  #look(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [socket, ending] of this.#endings) {
      if (ending.due <= now) ending.due = now + this.#lookAt(socket, ending);
      next = Math.min(next, ending.due - now);
    }
    if (next !== Number.POSITIVE_INFINITY) this.#lookAgainIn(next);
  }

  /** Returns in how many milliseconds this connection wants to be looked at again. */
  #lookAt(socket: net.Socket, ending: Ending): number {
    const { idleWait, lingerWait } = this.#options;
    const now = performance.now();
    if (ending.step === 'lingering') return this.#lookAtLingering(socket, ending, now, lingerWait);
    const program = programSocket(socket);
    ending.seen = observe(socket, ending.seen);
    if (isBusy(ending.server, socket, ending.protocol)) return LOOK_AT_LEAST;
    const quiet = quietFor(socket, ending.seen);
    if (quiet === undefined) return LOOK_AT_LEAST;
    const waited = ending.fromQueue ? Math.min(quiet, now - ending.since) : quiet;
    if (waited < idleWait) return idleWait - waited;
    const patience = patienceWith(ending.server, socket, idleWait);
    if (waited < patience) return patience - waited;
    ending.step = 'lingering';
    ending.since = now;
    if (parserOn(program) !== undefined) unhookParser(program, () => this.#countLate());
    this.#surviveLateWrites(program);
    program.end();
    return lingerWait;
  }

  #lookAtLingering(socket: net.Socket, ending: Ending, now: number, lingerWait: number): number {
    const left = ending.since + lingerWait - now;
    if (left > 0) return left;
    if (unacknowledged(socket) > 0) return LOOK_AT_LEAST;
    programSocket(socket).destroy();
    socket.destroy();
    return LOOK_AT_LEAST;
  }

  /** A program that answers after our FIN must not die of it: its answer is late, and that is all. */
  #surviveLateWrites(socket: net.Socket): void {
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ERR_STREAM_WRITE_AFTER_END') this.#countLate();
    });
  }

  #countLate(): void {
    this.#lateRequests += 1;
  }

  #lookAgainIn(milliseconds: number): void {
    if (this.#timer !== undefined || this.#options.over.aborted) return;
    this.#timer = setTimeout(() => this.#look(), Math.min(LOOK_AT_LEAST, Math.max(LOOK_AT_MOST, milliseconds)));
  }

  #stop(): void {
    clearTimeout(this.#timer);
  }
}

/** After the last connection has gone: what http keeps running for its connections. */
export function releaseServers(servers: readonly net.Server[]): void {
  // One that listens anew needs its own.
  for (const server of servers) if (!server.listening) stopConnectionsChecker(server);
}

function protocolOf(server: net.Server): Protocol {
  if (isHttp2Server(server)) return 'h2';
  return isHttp1Server(server) ? 'http/1.1' : 'raw';
}

/** An accepted socket inherits its listener's filter, and has no use for it. */
function freeOfFilter(socket: net.Socket): void {
  const fd = descriptorOf(socket);
  try {
    if (fd !== undefined) detachFilter(fd);
  } catch {
    // ENOENT: it was accepted before the filter came.
  }
}
