import http from 'node:http';
import net from 'node:net';
import { LastCallError } from '../errors.ts';
import { parserOn, parsersMidRequest, responseOn, serverOf } from '../node/fields.ts';
import { ConnectionAccounts, type ConnectionsReport } from './accounts.ts';
import { type CutConnection, type CutReason, droppedName } from './connection.ts';
import { DeliveryWatch } from './delivered.ts';
import type { EndConnectionsOptions } from './end-connections-options.ts';
import { EndingConnection } from './ending.ts';
import type { EndingHost } from './ending-host.ts';
import { type ClosingHeads, sayCloseInHeads, sayCloseInTakenHead } from './http1/head.ts';
import { holdRequestsBack, type Requests } from './http1/requests.ts';
import { isHttp1Server } from './http1/server.ts';
import { connectionsOf, freeOfFilter, watchConnections, watchDrops } from './open-connections.ts';
import { Rounds } from './rounds.ts';
import { transportSocket, watchHandshakes, watchSecured } from './tls/sockets.ts';
import { ToldBefore } from './http1/last-responses.ts';
import { watchUpgrades } from './http1/upgrades.ts';
import { WebSocketClients } from './websocket/clients.ts';

/** The accepted connections of the servers of one close, on their way to their end. */
export class ConnectionEnder {
  readonly #servers: readonly net.Server[];
  readonly #options: EndConnectionsOptions;
  readonly #host: EndingHost;
  readonly #heads: ClosingHeads;
  readonly #requests: Requests;
  // One for all connections: ten thousand of each would cost as much as the rest.
  readonly #onClose: (this: net.Socket) => void;
  readonly #destroySoon: net.Socket['destroySoon'];
  readonly #accounts = new ConnectionAccounts();
  readonly #delivery: DeliveryWatch;
  readonly #webSockets: WebSocketClients;
  readonly #endings = new Map<net.Socket, EndingConnection>();
  readonly #rounds: Rounds;
  readonly #noMoreArrivals = new Map<net.Server, AbortController>();
  readonly #heldBack = new Set<net.Server>();
  readonly #toldBefore = new ToldBefore();
  #midRequest = new Map<net.Server, ReadonlySet<unknown>>();
  #onEmpty: (() => void) | undefined;

  /** From now on responses say that they are the last of their connections; everything else waits for `begin`. */
  constructor(servers: readonly net.Server[], options: EndConnectionsOptions) {
    this.#servers = servers;
    this.#options = options;
    this.#delivery = new DeliveryWatch((socket) => this.#endings.get(socket), options.over);
    this.#webSockets = new WebSocketClients(options.webSockets, options.webSocketClose, (cause) =>
      this.#noteCallbackError('webSockets', cause),
    );
    this.#rounds = new Rounds(
      this.#endings,
      () => this.#prepareRound(),
      (cause) => this.#noteCallbackError('a method of a connection', cause),
      options.over,
    );
    this.#host = this.#makeHost();
    this.#requests = {
      isRefusing: (program) => this.#endings.get(transportSocket(program))?.refusesRequests === true,
      countLate: () => this.#accounts.countLate(),
      noteRequest: (program) => this.#lookSoonAt(this.#endings.get(transportSocket(program))),
    };
    this.#onClose = this.#makeOnClose();
    this.#destroySoon = this.#makeDestroySoon();
    this.#heads = {
      servers: new Set(servers),
      onLast: (response) => this.#noteLastResponse(response.req.socket),
    };
    // One that neither listens nor speaks HTTP can have no such connection.
    if (servers.some((server) => server.listening || isHttp1Server(server))) {
      sayCloseInHeads(this.#heads, options.over);
      for (const server of servers) this.#holdRequestsBack(server);
    }
  }

  get open(): number {
    return this.#endings.size;
  }

  get ended(): number {
    return this.#accounts.ended;
  }

  /** The part of the report that is about connections. */
  report(): ConnectionsReport {
    return this.#accounts.report();
  }

  /** Takes in what is open, and watches for what comes. */
  begin(): void {
    for (const server of this.#servers) this.#watch(server);
    this.#toldBefore.giveBack();
    this.#spread();
    this.#rounds.begin();
  }

  /** The listener has closed: whoever comes now has come to one that is not this close's. */
  endArrivals(server: net.Server): void {
    this.#noMoreArrivals.get(server)?.abort();
  }

  /** Counts clients that were connected and that the program never accepted. */
  countUnaccepted(clients: number): void {
    for (let client = 0; client < clients; client++) this.#noteLost('unknown', 'never accepted');
  }

  /** Resolves when no connection is open. Call it once nobody new can come. */
  async allEnded(): Promise<void> {
    if (this.#endings.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Cuts whatever is still open and names it. */
  cutAll(reason: CutReason): void {
    for (const [socket, ending] of this.#endings) {
      this.#endings.delete(socket);
      this.#noteCut(ending.cut(reason));
    }
    this.#onEmpty?.();
  }

  #spread(): void {
    const { spread } = this.#options;
    if (spread === 0) return;
    const share = spread / this.#endings.size;
    [...this.#endings.values()].forEach((ending, index) => ending.postpone(index * share));
  }

  #makeHost(): EndingHost {
    const { idleWait, lingerWait, endsAt, farewell, onDrain } = this.#options;
    return {
      idleWait,
      lingerWait,
      // Time enough for a peer that says nothing to be ended, and to spare.
      patientUntil: endsAt - 2 * lingerWait,
      farewell,
      webSockets: this.#webSockets,
      drain:
        onDrain === undefined
          ? undefined
          : async (connection) => {
              try {
                await onDrain(connection, this.#options.deadline);
              } catch (cause) {
                this.#noteCallbackError('onDrain', cause);
              }
            },
      isMidRequest: (program) => this.#isMidRequest(program),
      countLate: () => this.#accounts.countLate(),
      countSaid: () => this.#accounts.countSaid(),
      countAnswered: () => this.#accounts.countAnswered(),
      onCallbackError: (name, cause) => this.#noteCallbackError(name, cause),
      noteReset: (ending, unacknowledged) => this.#noteReset(ending, unacknowledged),
    };
  }

  #noteLastResponse(program: net.Socket): void {
    const server = serverOf(program);
    if (server instanceof net.Server) this.#holdRequestsBack(server);
    const ending = this.#endings.get(transportSocket(program));
    if (ending === undefined) this.#toldBefore.note(program);
    else ending.sayClose();
  }

  /** Something has changed on it: the next round is to look. */
  #lookSoonAt(ending: EndingConnection | undefined): void {
    if (ending !== undefined) ending.due = 0;
  }

  #holdRequestsBack(server: net.Server): void {
    if (this.#heldBack.has(server) || !isHttp1Server(server)) return;
    this.#heldBack.add(server);
    holdRequestsBack(server, this.#requests, this.#options.over);
  }

  #watch(server: net.Server): void {
    const { over } = this.#options;
    // For one from before lastcall was imported.
    watchHandshakes(server);
    watchUpgrades(server);
    const noMore = new AbortController();
    this.#noMoreArrivals.set(server, noMore);
    over.addEventListener('abort', () => noMore.abort());
    watchConnections(server, (socket) => this.#adopt(server, socket, true), noMore.signal);
    watchDrops(server, (peer) => this.#noteLost(droppedName(peer), 'dropped'), noMore.signal);
    watchSecured(server, (program) => this.#prepare(program), over);
    for (const socket of connectionsOf(server)) this.#adopt(server, socket, false);
  }

  #adopt(server: net.Server, socket: net.Socket, fromQueue: boolean): void {
    // Handed from one server to another, it arrives at both.
    if (this.#endings.has(socket)) return;
    const ending = new EndingConnection(socket, server, fromQueue, this.#host);
    this.#endings.set(socket, ending);
    if (this.#options.wantsFacts()) void ending.remote;
    this.#accounts.countOpen(fromQueue);
    if (fromQueue && this.#options.isFiltered(server)) freeOfFilter(socket);
    this.#delivery.watch(socket);
    socket.on('close', this.#onClose);
    this.#prepare(ending.program);
    this.#rounds.lookAgainIn(this.#options.idleWait);
  }

  /** Makes a connection ready as soon as the program has it, under TLS after the handshake. */
  #prepare(program: net.Socket): void {
    const transport = transportSocket(program);
    const ending = this.#endings.get(transport);
    if (ending === undefined) return;
    // Its handshake had more time than what is spoken after it has.
    this.#lookSoonAt(ending);
    this.#delivery.watchFinal(program, transport);
    const server = serverOf(program);
    if (!(server instanceof net.Server) || !isHttp1Server(server)) return;
    this.#holdRequestsBack(server);
    // http calls it after a last response; Node's own closes the connection without waiting for the client's end.
    program.destroySoon = this.#destroySoon;
    const told = this.#toldBefore.take(program);
    if (told !== 'not told') ending.sayClose();
    if (told === 'over') ending.linger();
    const response = responseOn(program);
    if (response instanceof http.ServerResponse) sayCloseInTakenHead(response, this.#heads.onLast);
  }

  #makeOnClose(): (this: net.Socket) => void {
    const noteEnd = this.#noteEnd.bind(this);
    return function onClose() {
      noteEnd(this);
    };
  }

  #makeDestroySoon(): net.Socket['destroySoon'] {
    const endings = this.#endings;
    return function lingerOrDestroy(this: net.Socket) {
      const ending = endings.get(transportSocket(this));
      if (ending === undefined) net.Socket.prototype.destroySoon.call(this);
      else ending.linger();
    };
  }

  #noteEnd(socket: net.Socket): void {
    const ending = this.#endings.get(socket);
    if (ending === undefined) return;
    this.#endings.delete(socket);
    ending.noteEnd();
    this.#accounts.countEnded();
    this.#options.onEnd({ remote: () => ending.remote, protocol: () => ending.spoke }, undefined);
    if (this.#endings.size === 0) this.#onEmpty?.();
  }

  #noteReset(ending: EndingConnection, unacknowledged: number): void {
    if (!this.#endings.delete(ending.socket)) return;
    this.#noteCut({ remote: ending.remote, protocol: ending.protocol, reason: 'reset by peer', unacknowledged });
    if (this.#endings.size === 0) this.#onEmpty?.();
  }

  /** A client that was connected, and that the program has never had. */
  #noteLost(remote: string, reason: CutReason): void {
    this.#accounts.countOpen(true);
    this.#noteCut({ remote, protocol: 'raw', reason, unacknowledged: 0 });
  }

  #noteCut(cut: CutConnection): void {
    this.#accounts.countCut(cut);
    this.#options.onEnd({ remote: () => cut.remote, protocol: () => cut.protocol }, cut);
  }

  #noteCallbackError(name: string, cause: unknown): void {
    this.#options.onError(new LastCallError('ERR_CALLBACK', `\`${name}\` threw`, { cause }));
  }

  /** What is asked once for all connections of a round. */
  #prepareRound(): void {
    this.#midRequest = new Map();
    this.#webSockets.refresh();
  }

  #isMidRequest(program: net.Socket): boolean {
    const server = serverOf(program);
    // One that has said nothing yet is among them, too.
    if (program.bytesRead === 0 || !(server instanceof net.Server)) return false;
    const parsers = this.#midRequest.get(server) ?? parsersMidRequest(server);
    this.#midRequest.set(server, parsers);
    return parsers.has(parserOn(program));
  }
}
