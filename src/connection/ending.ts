import http from 'node:http';
import type net from 'node:net';
import { isTcp, isUnderTls, parserOn, responseOn } from '../node/fields.ts';
import { channelOn } from './channel.ts';
import { type CutConnection, type Protocol, remoteName } from './connection.ts';
import { delayedAcknowledgement, unacknowledged, type Watched } from './delivered.ts';
import { ProgramDrain } from './on-drain.ts';
import type { EndingHost } from './ending-host.ts';
import { EventStream } from './http1/event-stream.ts';
import { FarewellStep } from './farewell-step.ts';
import { halfCloseIdle } from './half-close.ts';
import { SessionFarewell, sessionOn } from './http2/farewell.ts';
import { hasUnread, type Movement, observe, patienceWith, silenceOn } from './quiet.ts';
import { RawFarewell, surviveLateWrites } from './raw/farewell.ts';
import { protocolOf, spokenOn } from './protocol.ts';
import { programSocket } from './tls/sockets.ts';
import { awaitsChange } from './http1/upgrades.ts';

// How often to look at a connection that is busy, and at one that is expected to change soon, in milliseconds.
const LOOK_AT_LEAST = 100;
const LOOK_SOON = 10;

/** One accepted connection on its way to its end. */
export class EndingConnection implements Watched {
  readonly socket: net.Socket;
  /** When to look at it again, on the clock of `performance.now()`. */
  due: number;
  /** Whether nothing that is asked from now on is for the program. */
  refusesRequests = false;
  readonly #server: net.Server;
  readonly #isTcp: boolean;
  readonly #fromQueue: boolean;
  readonly #host: EndingHost;
  readonly #since: number = performance.now();
  /** Not before this its farewell is said, or it is half-closed for being quiet. */
  #notBefore = Number.NEGATIVE_INFINITY;
  #step: 'open' | 'lingering' = 'open';
  /** What the connection moved before is the kernel's to tell; where it cannot, it counts as having moved at the start. */
  #seen: Movement | undefined;
  #remote: string | undefined;
  #lastSpoken: Protocol | undefined;
  /** How many bytes had been sent when it was half-closed for being quiet. */
  #quietSince: number | undefined;
  readonly #farewell: FarewellStep;
  #lingersSince = Number.NEGATIVE_INFINITY;
  #session: SessionFarewell | undefined;
  #raw: RawFarewell | undefined;
  #stream: EventStream | undefined;
  readonly #drain: ProgramDrain | undefined;

  constructor(socket: net.Socket, server: net.Server, fromQueue: boolean, host: EndingHost) {
    this.socket = socket;
    this.due = this.#since;
    this.#server = server;
    this.#isTcp = isTcp(socket);
    this.#fromQueue = fromQueue;
    this.#host = host;
    this.#farewell = new FarewellStep(host);
    this.#drain = host.drain && new ProgramDrain(host.drain);
  }

  /** The socket that the program sees. */
  get program(): net.Socket {
    return programSocket(this.socket);
  }

  /** The peer's address. The kernel forgets it with the connection: ask before that. */
  get remote(): string {
    this.#remote ??= remoteName(this.socket, this.#isTcp);
    return this.#remote;
  }

  get protocol(): Protocol {
    // Node takes a session off when it is over.
    if (this.#session !== undefined) return 'h2';
    const protocol = protocolOf(this.#server, this.socket);
    return protocol === 'raw' && this.#host.webSockets.isOn(this.program) ? 'websocket' : protocol;
  }

  /** The same at its end, when Node has taken off what tells. */
  get spoke(): Protocol {
    const { protocol } = this;
    return protocol === 'raw' ? spokenOn(this.#server, this.socket, this.#lastSpoken) : protocol;
  }

  get isDelivered(): boolean {
    return this.#quietSince !== undefined && this.socket.bytesWritten === this.#quietSince;
  }

  /**
   * How many of the last bytes sent may stay unacknowledged and mean nothing: the words of a farewell; and of a last response
   * as much as a peer need not acknowledge at once, two segments (RFC 1122 4.2.3.2). Some clients, HAProxy and undici among
   * them, reset the connection as soon as they have read it, and the kernel takes no acknowledgement from a reset.
   */
  get farewellBytes(): number {
    const session = this.#session;
    const words = session?.farewellBytes(this.socket) ?? 0;
    const isHttp = session !== undefined || this.protocol === 'http/1.1';
    const isAnswering = session?.isServing ?? responseOn(this.program) !== undefined;
    const hasSaid = !this.#farewell.isToSay || this.program.writableEnded;
    return words + (isHttp && hasSaid && !isAnswering ? delayedAcknowledgement(this.socket) : 0);
  }

  get hasEnded(): boolean {
    return this.#step === 'lingering';
  }

  /** Leaves it in peace for so many milliseconds more. */
  postpone(milliseconds: number): void {
    this.#notBefore = this.#since + milliseconds;
  }

  /** Does what is to be done now; returns in how many milliseconds to look again. */
  look(): number {
    if (this.#step === 'lingering') return this.#lookAtLingering();
    if (this.program.writableEnded) {
      // By the program or by Node: a WebSocket's, when the peer's Close has come; a channel's, when its farewell was answered.
      if (this.protocol === 'websocket' || channelOn(this.program)?.farewell === 'answered')
        this.#farewell.noteAnswered();
      return this.linger();
    }
    const next = this.#lookAtOpen();
    // Nothing is lost on one that was quiet: no report will name it.
    if (!this.hasEnded) void this.remote;
    return next;
  }

  #lookAtOpen(): number {
    const { protocol } = this;
    this.#lastSpoken = protocol;
    const session = protocol === 'h2' ? this.#sessionFarewell()?.session : undefined;
    this.#drain?.ask({ socket: this.program, protocol, ...(session && { session }) }, () => (this.due = 0));
    // A session is told at once: what is begun on it from then on is not the program's to end.
    if (this.#drain?.isUnderWay === true && protocol !== 'h2') return LOOK_AT_LEAST;
    const wait = this.#notBefore - performance.now();
    if (wait > 0) return wait;
    switch (protocol) {
      case 'http/1.1':
        return this.#lookAtHttp1();
      case 'h2':
        return this.#lookAtHttp2();
      case 'websocket':
        return this.#lookAtWebSocket();
      case 'channel':
        return this.#lookAtChannel();
      default:
        return this.#lookAtRaw();
    }
  }

  /** The last HTTP/1.1 response says so: nothing that comes after its request is for the program. */
  sayClose(): void {
    if (this.#step === 'open') this.#farewell.noteSaid();
    // Node's own answer to a request that came after our end: nobody gets it.
    else this.#host.countLate();
    this.refusesRequests = true;
  }

  /** Half-close: our FIN after everything that waits to be written (RFC 9112 9.6); then what comes is read until the peer's. */
  linger(halfClose: () => void = () => this.program.end()): number {
    if (this.#step === 'lingering') return LOOK_AT_LEAST;
    this.#step = 'lingering';
    this.#lingersSince = performance.now();
    const { program } = this;
    if (parserOn(program) === undefined) surviveLateWrites(program, () => this.#host.countLate());
    else this.refusesRequests = true;
    halfClose();
    this.#seen = observe(this.socket, this.#seen);
    return this.#host.lingerWait;
  }

  noteReset(missing: number): void {
    this.#host.noteReset(this, missing);
  }

  /** It has come to its end. */
  noteEnd(): void {
    if (this.program.readableEnded) this.#farewell.noteAnswered();
  }

  /** Ends it at once; returns what to say of it. */
  cut(reason: CutConnection['reason']): CutConnection {
    const missing = unacknowledged(this.socket) + (this.#session?.unsent ?? 0);
    const cut = { remote: this.remote, protocol: this.protocol, reason, unacknowledged: missing };
    this.program.destroy();
    this.socket.destroy();
    return cut;
  }

  #lookAtHttp1(): number {
    const response = responseOn(this.program);
    if (response instanceof http.ServerResponse) {
      this.#stream ??= new EventStream();
      this.#stream.endAfter(this.#host.idleWait, response);
    }
    if (response !== undefined || this.program.writableLength > 0 || this.#host.isMidRequest(this.program))
      return LOOK_AT_LEAST;
    return this.#lingerWhenQuiet(this.#host.idleWait, () => {
      // Under TLS close_notify goes first.
      if (this.program !== this.socket || !halfCloseIdle(this.socket)) this.program.end();
    });
  }

  #lookAtHttp2(): number {
    const session = this.#sessionFarewell();
    // Until its handshake is done, or it never comes to a session.
    if (session === undefined || session.isOver) return this.#lingerWhenQuiet();
    // One that came in during the close came to ask something.
    const isNew = this.#fromQueue && !session.hasServed && this.#wait(this.#host.idleWait) > 0;
    if (isNew) return LOOK_SOON;
    const said = session.say(this.socket, this.#host.idleWait);
    if (said) this.#farewell.noteSaid();
    return said ? LOOK_AT_LEAST : LOOK_SOON;
  }

  #sessionFarewell(): SessionFarewell | undefined {
    const session = this.#session === undefined ? sessionOn(this.program) : undefined;
    if (session !== undefined) this.#session = new SessionFarewell(session, this.program, this.program !== this.socket);
    return this.#session;
  }

  /** Its answer is awaited as long as a peer's end is; where it comes the program's WebSocket code ends the connection. */
  #lookAtWebSocket(): number {
    if (this.#farewell.isToSay && this.#host.webSockets.say(this.program)) this.#farewell.noteSaid();
    if (this.#farewell.isToSay) return LOOK_SOON;
    return this.#lingerUnanswered(this.#host.lingerWait);
  }

  /** It ends by itself when its farewell was answered and it owes no reply: until the deadline, if it has to be. */
  #lookAtChannel(): number {
    const channel = channelOn(this.program);
    channel?.goodbye();
    // One that has never greeted has asked nothing.
    if (channel?.farewell === 'not said') return Math.min(LOOK_SOON, this.#lingerWhenQuiet());
    this.#farewell.noteSaid();
    if (channel?.farewell === 'answered') this.#farewell.noteAnswered();
    return LOOK_AT_LEAST;
  }

  #lookAtRaw(): number {
    const { program } = this;
    if (awaitsChange(program)) return LOOK_AT_LEAST;
    this.#sayRaw();
    // The client has said its last word, and the program means to answer it: else Node would have ended the socket.
    if (program.writableLength > 0 || program.readableEnded) return LOOK_AT_LEAST;
    const awaitsAnswer = this.#farewell.awaitsAnswer && this.#host.farewell?.answered !== undefined;
    const next = awaitsAnswer ? this.#lingerUnanswered(this.#host.idleWait) : this.#lingerWhenQuiet();
    const isToSay = this.#host.farewell !== undefined && this.#farewell.isToSay;
    return isToSay ? Math.min(next, LOOK_AT_LEAST) : next;
  }

  #sayRaw(): void {
    const { farewell } = this.#host;
    // In the middle of a TLS handshake, or under TLS of the program's own (STARTTLS), words would break it.
    if (farewell === undefined || !this.#farewell.isToSay || isUnderTls(this.program)) return;
    this.#raw ??= new RawFarewell(farewell, this.program, () => {
      this.#farewell.noteAnswered();
      this.linger();
    });
    if (this.#raw.say((name, cause) => this.#host.onCallbackError(name, cause))) this.#farewell.noteSaid();
  }

  #lingerWhenQuiet(least: number = this.#host.idleWait, halfClose?: () => void): number {
    const wait = this.#wait(least);
    if (wait > 0) return wait;
    this.#quietSince = this.socket.bytesWritten;
    return this.linger(halfClose);
  }

  /** The peer's end is no answer where the protocol has another. */
  #lingerUnanswered(least: number): number {
    const next = this.#lingerWhenQuiet(least);
    if (this.#step === 'lingering') this.#farewell.noteUnanswered();
    return next;
  }

  /** In how many milliseconds it will have been quiet for so long, or for as long as it needs, if nothing moves until then. */
  #wait(least: number): number {
    const silence = silenceOn(this.socket, () => {
      this.#seen = observe(this.socket, this.#seen);
      return performance.now() - this.#seen.at;
    });
    if (silence === undefined) return LOOK_AT_LEAST;
    const now = performance.now();
    const quiet = this.#fromQueue ? Math.min(silence.quiet, now - this.#since) : silence.quiet;
    const patience = patienceWith(this.#server, this.socket, silence, least);
    const wait = Math.max(least - quiet, Math.min(patience - quiet, this.#host.patientUntil - now));
    return wait > 0 || !hasUnread(this.socket) ? wait : LOOK_AT_LEAST;
  }

  /** A peer may be silent for `lingerWait`; where it still sends, or has not acknowledged everything, it stays. */
  #lookAtLingering(): number {
    this.#seen = observe(this.socket, this.#seen);
    const now = performance.now();
    const left = this.#host.lingerWait - (now - Math.max(this.#lingersSince, this.#seen.at));
    if (left > 0) return left;
    if (unacknowledged(this.socket) > 0) return LOOK_AT_LEAST;
    this.program.destroy();
    this.socket.destroy();
    return LOOK_AT_LEAST;
  }
}
