import type { ChildProcess } from 'node:child_process';
import http from 'node:http';
import net from 'node:net';
import type { Close } from '../close/close.ts';
import { noteNoneLeft, noteSome } from '../close/none-left.ts';
import type { CutConnection, CutReason } from '../close/report.ts';
import { parserOn, responseOn, serverOf } from '../node/fields.ts';
import { ClosingConnection } from './closing-connection.ts';
import { DeliveryWatch } from './resets.ts';
import { Ends } from './ends.ts';
import { onFedInClose } from './handed-over/fed-servers.ts';
import { type ClosingHeads, addCloseToHeads, addCloseToReplacedHead } from './http1/head.ts';
import { EarlyLastResponses } from './http1/last-responses.ts';
import { holdRequestsBack, type Requests } from './http1/requests.ts';
import { isHttp1Server } from './http1/server.ts';
import { watchUpgrades } from './http1/upgrades.ts';
import { watchStreams } from './http2/event-streams.ts';
import { connectionsOfAny, freeOfFilter, watchConnections, watchDrops } from './open-connections.ts';
import { droppedName } from './peer.ts';
import { Rounds } from './rounds.ts';
import { isSecured, listenerBehind, receiversOf, wasSentAway } from '../node/socket-fields.ts';
import { layersOn, onTls, transportSocket, watchHandshakes } from './tls/sockets.ts';

/** The accepted connections of the servers of one close, on their way to their end. */
export class Connections {
  /** The processes that were sent connections during the close. */
  readonly receivers: Set<ChildProcess> = new Set();
  readonly #servers: readonly net.Server[];
  readonly #close: Close;
  readonly #open = new Map<net.Socket, ClosingConnection>();
  readonly #ends: Ends;
  readonly #findEnd: Ends['find'];
  readonly #delivery: DeliveryWatch;
  readonly #rounds: Rounds;
  readonly #heads: ClosingHeads;
  readonly #requests: Requests;
  readonly #heldBack = new Set<net.Server>();
  readonly #early = new EarlyLastResponses();
  readonly #noMoreArrivals = new Map<net.Server, AbortController>();
  // One for all connections: ten thousand of each would cost as much as the rest.
  readonly #onClose: (this: net.Socket) => void;
  readonly #destroySoon: net.Socket['destroySoon'];
  #onEmpty: (() => void) | undefined;

  /** From now on responses say that they are the last of their connections. Everything else waits for `begin`. */
  constructor(servers: readonly net.Server[], close: Close) {
    const { over } = close.clock;
    this.#servers = servers;
    this.#close = close;
    noteSome(this);
    close.clock.over.addEventListener('abort', () => noteNoneLeft(this));
    this.#ends = new Ends(close);
    this.#findEnd = (connection, before) => this.#ends.find(connection, before);
    this.#delivery = new DeliveryWatch(
      (socket) => this.#open.get(socket),
      (connection, lost) => this.#noteReset(connection, lost),
      over,
    );
    this.#rounds = new Rounds(this.#open, () => this.#beginRound(), close);
    this.#requests = {
      isRefusing: (program) => this.#on(program)?.refusesRequests === true,
      countLate: () => close.accounts.countLate(),
      noteRequest: (program) => this.#lookSoonAt(this.#on(program)),
    };
    this.#onClose = this.#makeOnClose();
    this.#destroySoon = this.#makeDestroySoon();
    this.#heads = { servers: new Set(servers), onLast: ({ req }) => this.#noteLastResponse(req.socket) };
    // A server that neither listens nor speaks HTTP can have no such connection.
    if (!servers.some((server) => server.listening || isHttp1Server(server))) return;
    addCloseToHeads(this.#heads, over);
    for (const server of servers) if (isHttp1Server(server)) this.#holdRequestsBack(server);
  }

  get open(): number {
    return this.#open.size;
  }

  /** Takes in what is open, and watches for what comes. */
  begin(): void {
    const { over } = this.#close.clock;
    onTls((tls) => this.#prepareWhenSecured(tls), over);
    onFedInClose((_, socket) => this.#lookAgainAtProgram(socket), over);
    for (const server of this.#servers) this.#watch(server);
    for (const server of this.#servers) this.#noteReceiversOf(server);
    for (const { server, socket } of connectionsOfAny(this.#servers)) this.#adopt(server, socket, false);
    this.#early.release();
    this.#spread();
    this.#rounds.begin();
  }

  /** The listener has closed: later connections come to one that is not this close's. */
  endArrivals(server: net.Server): void {
    this.#noMoreArrivals.get(server)?.abort();
  }

  /** Counts clients that were connected and that the program never accepted. */
  countUnaccepted(clients: number): void {
    for (let client = 0; client < clients; client++) this.#noteLost('unknown', 'never accepted');
  }

  /** Resolves when no connection is open. Call it once nobody new can come. */
  async allEnded(): Promise<void> {
    if (this.#open.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Cuts what is still open, and names it. */
  cutAll(reason: CutReason): void {
    for (const [socket, connection] of this.#open) {
      this.#open.delete(socket);
      this.#noteCut(connection.cut(reason));
    }
    this.#onEmpty?.();
  }

  /** No connection is here any more, nor comes: none can be sent to another process. */
  noteNoneLeft(): void {
    noteNoneLeft(this);
  }

  #beginRound(): void {
    this.#ends.refresh();
    if (!this.#servers.some((server) => receiversOf(server).length > 0)) return;
    for (const [socket, connection] of this.#open) if (wasSentAway(socket)) this.#forget(socket, connection);
    if (this.#open.size === 0) this.#onEmpty?.();
  }

  /** Another process has it from now on, and counts it. */
  #forget(socket: net.Socket, { isFromQueue }: ClosingConnection): void {
    this.#open.delete(socket);
    socket.off('close', this.#onClose);
    this.#close.accounts.uncountOpen(isFromQueue);
    this.#noteReceivers(socket);
  }

  #noteReceivers(socket: net.Socket): void {
    const acceptor = listenerBehind(socket);
    if (acceptor instanceof net.Server) this.#noteReceiversOf(acceptor);
  }

  #noteReceiversOf(server: net.Server): void {
    for (const { child } of receiversOf(server)) this.receivers.add(child);
  }

  /** The connection of a socket that the program has. */
  #on(program: net.Socket): ClosingConnection | undefined {
    return this.#open.get(transportSocket(program));
  }

  #spread(): void {
    const { spread } = this.#close.options;
    if (spread === 0) return;
    const share = spread / this.#open.size;
    [...this.#open.values()].forEach((connection, index) => connection.postpone(index * share));
  }

  #noteLastResponse(program: net.Socket): void {
    const server = serverOf(program);
    if (server instanceof net.Server) this.#holdRequestsBack(server);
    const connection = this.#on(program);
    if (connection === undefined) {
      this.#early.add(program);
      return;
    }
    // Also where it was not known before that http is on it.
    program.destroySoon = this.#destroySoon;
    connection.noteLastResponse();
  }

  /** Something has changed on it: the next round is to look. */
  #lookSoonAt(connection: ClosingConnection | undefined): void {
    if (connection !== undefined) connection.due = 0;
  }

  #holdRequestsBack(server: net.Server): void {
    if (this.#heldBack.has(server)) return;
    this.#heldBack.add(server);
    holdRequestsBack(server, this.#requests, this.#close.clock.over);
  }

  #watch(server: net.Server): void {
    const { over } = this.#close.clock;
    // A server from before lastcall was imported is not watched yet.
    watchHandshakes(server);
    watchUpgrades(server);
    watchStreams(server);
    const noMore = new AbortController();
    this.#noMoreArrivals.set(server, noMore);
    over.addEventListener('abort', () => noMore.abort());
    const adopt = (socket: net.Socket): void => {
      this.#adopt(server, transportSocket(socket), true);
      // The program may send it away at once.
      process.nextTick(() => this.#noteReceivers(socket));
    };
    watchConnections(server, adopt, noMore.signal);
    watchDrops(server, (peer) => this.#noteLost(droppedName(peer), 'dropped'), noMore.signal);
  }

  #adopt(server: net.Server, socket: net.Socket, isFromQueue: boolean): void {
    // A connection that one server hands to another arrives at both.
    if (this.#open.has(socket)) return;
    const connection = new ClosingConnection(this.#close, socket, server, isFromQueue, this.#findEnd);
    this.#open.set(socket, connection);
    if (this.#close.diagnostics.connection.hasSubscribers) void connection.remote;
    this.#close.accounts.countOpen(isFromQueue);
    if (isFromQueue && !this.#close.unfiltered.has(server)) freeOfFilter(socket);
    this.#delivery.watch(socket);
    socket.on('close', this.#onClose);
    for (const layer of layersOn(socket)) this.#prepareWhenSecured(layer);
    this.#rounds.lookAgainIn(this.#close.options.idleWait);
  }

  /** A server was handed a connection, and finds out in this turn of the loop what is spoken on it. */
  #lookAgainAtProgram(program: net.Socket): void {
    if (this.#on(program) !== undefined) process.nextTick(() => this.#prepare(program));
  }

  #prepareWhenSecured(program: net.Socket): void {
    if (this.#on(program) === undefined) return;
    if (isSecured(program)) this.#prepare(program);
    else program.once('secure', () => this.#prepare(program));
  }

  /** Makes a connection ready as soon as the program has it, under TLS after the handshake. */
  #prepare(program: net.Socket): void {
    const connection = this.#on(program);
    if (connection === undefined) return;
    // Its handshake had more time than what is spoken after it has.
    this.#lookSoonAt(connection);
    this.#delivery.watchFinal(program, connection.socket);
    const server = serverOf(program);
    if (!(server instanceof net.Server)) return;
    if (isHttp1Server(server) || parserOn(program) !== undefined) this.#prepareHttp(program, server, connection);
  }

  #prepareHttp(program: net.Socket, server: net.Server, connection: ClosingConnection): void {
    this.#holdRequestsBack(server);
    const early = this.#early.take(program);
    // http calls it after a last response; Node's own closes the connection without waiting for the client's end.
    program.destroySoon = this.#destroySoon;
    if (early !== 'not yet') connection.noteLastResponse();
    if (early === 'done') connection.linger();
    const response = responseOn(program);
    if (response instanceof http.ServerResponse) addCloseToReplacedHead(response, this.#heads.onLast);
  }

  #makeOnClose(): (this: net.Socket) => void {
    const noteEnd = this.#noteEnd.bind(this);
    return function onClose() {
      noteEnd(this);
    };
  }

  #makeDestroySoon(): net.Socket['destroySoon'] {
    const on = this.#on.bind(this);
    return function lingerOrDestroy(this: net.Socket) {
      const connection = on(this);
      if (connection === undefined) net.Socket.prototype.destroySoon.call(this);
      else connection.linger();
    };
  }

  #noteEnd(socket: net.Socket): void {
    const connection = this.#open.get(socket);
    if (connection === undefined) return;
    this.#open.delete(socket);
    connection.noteEnd();
    const { connection: channel } = this.#close.diagnostics;
    const cut = connection.cutStreams;
    if (cut === undefined) this.#close.accounts.countEnded();
    else this.#noteCut(cut);
    if (cut === undefined && channel.hasSubscribers)
      channel.publish({ remote: connection.remote, protocol: connection.protocolAtEnd });
    if (this.#open.size === 0) this.#onEmpty?.();
  }

  #noteReset(connection: ClosingConnection, unacknowledged: number): void {
    if (!this.#open.delete(connection.socket)) return;
    const { remote, protocol } = connection;
    this.#noteCut({ remote, protocol, reason: 'reset by peer', unacknowledged });
    if (this.#open.size === 0) this.#onEmpty?.();
  }

  /** A client that was connected, and that the program has never had. */
  #noteLost(remote: string, reason: CutReason): void {
    this.#close.accounts.countOpen(true);
    this.#noteCut({ remote, protocol: 'raw', reason, unacknowledged: 0 });
  }

  #noteCut(cut: CutConnection): void {
    this.#close.accounts.countCut(cut);
    const { remote, protocol } = cut;
    this.#close.diagnostics.connection.publish({ remote, protocol, cut });
  }
}
