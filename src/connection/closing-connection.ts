import type net from 'node:net';
import type { Close } from '../close/close.ts';
import type { CutConnection, Protocol } from '../close/report.ts';
import { isTcp, parserOn } from '../node/fields.ts';
import { unacknowledged } from './acknowledged.ts';
import { LateAnswers } from './answer/late-answers.ts';
import { FarewellStep } from './farewell-step.ts';

import { OnDrainHook } from './on-drain.ts';
import { remoteName } from './peer.ts';
import { spokenOn } from './protocol.ts';
import { LATE_ANSWER, LONGEST_PAUSE, type ProtocolEnd } from './protocol-end.ts';
import {
  hasUnread,
  mayLoseWords,
  type Movement,
  observe,
  outOfOrderOn,
  patienceWith,
  type Silence,
  silenceOn,
} from './quiet.ts';
import { isUnderUnknownTls, programSocket } from './tls/sockets.ts';

/** The end of a connection in the protocol that it speaks now; `before` is the one of the last time. */
export type FindEnd = (connection: ClosingConnection, before: ProtocolEnd | undefined) => ProtocolEnd;

/** One accepted connection on its way to its end: what all protocols share. */
export class ClosingConnection {
  readonly close: Close;
  readonly socket: net.Socket;
  readonly server: net.Server;
  /** Whether it came in during the close. */
  readonly isFromQueue: boolean;
  readonly farewell: FarewellStep;
  /** When to look at it again, on the clock of `performance.now()`. */
  due: number;
  /** Whether requests that come from now on are not for the program. */
  refusesRequests = false;
  readonly #findEnd: FindEnd;
  readonly #isTcp: boolean;
  readonly #since: number = performance.now();
  readonly #onDrain: OnDrainHook;
  #end: ProtocolEnd | undefined;
  /** Not before this is it half-closed for being quiet, or its farewell said. */
  #notBefore = Number.NEGATIVE_INFINITY;
  #step: 'open' | 'lingering' = 'open';
  /** The kernel knows what moved before; where it keeps no clock the connection counts as having moved at the start. */
  #seen: Movement | undefined;
  #remote: string | undefined;
  #lastProtocol: Protocol | undefined;
  /** How many bytes had been sent when it was half-closed for being quiet. */
  #sentWhenQuiet: number | undefined;
  #lingersSince = Number.NEGATIVE_INFINITY;
  #outOfOrderBefore = 0;
  #lateAnswers: LateAnswers | undefined;

  constructor(close: Close, socket: net.Socket, server: net.Server, isFromQueue: boolean, findEnd: FindEnd) {
    this.close = close;
    this.socket = socket;
    this.server = server;
    this.isFromQueue = isFromQueue;
    this.due = this.#since;
    this.farewell = new FarewellStep(close.accounts);
    this.#findEnd = findEnd;
    this.#isTcp = isTcp(socket);
    this.#onDrain = new OnDrainHook(close);
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
    return this.#currentEnd().protocol;
  }

  /** The same at its end, when Node has taken off what shows it. */
  get protocolAtEnd(): Protocol {
    const { protocol } = this;
    return protocol === 'raw' ? spokenOn(this.server, this.socket, this.#lastProtocol) : protocol;
  }

  /** Whether everything was acknowledged when its end began, and nothing was written since: only our FIN is left. */
  get isDelivered(): boolean {
    return this.#sentWhenQuiet !== undefined && this.socket.bytesWritten === this.#sentWhenQuiet;
  }

  /** How many of the last bytes sent may stay unacknowledged without a loss. */
  get farewellBytes(): number {
    return this.#currentEnd().farewellBytes ?? 0;
  }

  /** Whether our FIN was sent, by Node or past it. */
  get isLingering(): boolean {
    return this.#step === 'lingering';
  }

  /** Whether the program is still at what `onDrain` does for it. */
  get isDraining(): boolean {
    return this.#onDrain.isRunning;
  }

  /** How long there is patience with it: the close must have time left to end a peer that sends nothing, and to spare. */
  get patientUntil(): number {
    return this.close.clock.endsAt - 2 * this.close.options.lingerWait;
  }

  /** When something has moved on it last, on the clock of `performance.now()`. */
  get movedAt(): number {
    return performance.now() - (this.#silence()?.quiet ?? 0);
  }

  /** Leaves it alone for the first `milliseconds` of the close. */
  postpone(milliseconds: number): void {
    this.#notBefore = this.#since + milliseconds;
  }

  /** Does what is due now. Returns in how many ms to look again. */
  look(): number {
    if (this.isLingering) return this.#lookAtLingering();
    if (this.program.writableEnded) {
      if (this.#currentEnd().isAnswered === true) this.farewell.noteAnswered();
      return this.linger();
    }
    const next = this.#lookAtOpen();
    // A connection that was half-closed for being quiet loses nothing: no report will name it.
    if (!this.isLingering) void this.remote;
    return next;
  }

  /** The last HTTP/1.1 response says that it is the last: later requests are not for the program. */
  noteLastResponse(): void {
    if (!this.isLingering) this.farewell.noteSaid();
    // Node's own answer to a request that came after our FIN: the client does not get it.
    else this.close.accounts.countLate();
    this.refusesRequests = true;
  }

  /** Half-closes it when it has been quiet for `least` ms, default `idleWait`. Returns in how many ms to look again. */
  lingerWhenQuiet(least: number = this.close.options.idleWait, halfClose?: () => void): number {
    const wait = this.quietIn(least);
    if (wait > 0) return wait;
    this.#sentWhenQuiet = this.socket.bytesWritten;
    return this.linger(halfClose);
  }

  /** The same where the protocol has an answer of its own: the peer's end is none. */
  lingerUnanswered(least: number): number {
    const next = this.lingerWhenQuiet(least);
    if (this.isLingering) this.farewell.noteUnanswered();
    return next;
  }

  /** Sends our FIN after everything that waits to be written (RFC 9112 9.6), and reads on until the peer's. */
  linger(halfClose: () => void = () => this.program.end()): number {
    if (this.isLingering) return LONGEST_PAUSE;
    this.#step = 'lingering';
    this.#lingersSince = performance.now();
    this.#outOfOrderBefore = outOfOrderOn(this.socket);
    const { program } = this;
    if (parserOn(program) === undefined) this.#lateAnswers = new LateAnswers(program, () => this.#noteLateAnswer());
    else this.refusesRequests = true;
    halfClose();
    this.#seen = observe(this.socket, this.#seen);
    return this.close.options.lingerWait;
  }

  /** It has come to its end. */
  noteEnd(): void {
    if (this.program.readableEnded) this.farewell.noteAnswered();
    this.#lateAnswers?.noteEnd();
    this.#end?.noteEnd?.();
  }

  /** Its row of the report where streams of it were lost, though the connection has come to its end; absent: none were. */
  get cutStreams(): CutConnection | undefined {
    // What is spoken on it is not looked for again. That is slow when nothing shows it any more, and thousands may end at once.
    const { protocol, streams } = this.#end ?? {};
    if (protocol === undefined || streams === undefined || streams.failed === 0) return undefined;
    return { remote: this.remote, protocol, reason: 'reset by peer', unacknowledged: 0, streams: streams.failed };
  }

  /** Ends it at once. Returns its row of the report. */
  cut(reason: CutConnection['reason']): CutConnection {
    const { protocol, unsent = 0, streams } = this.#currentEnd();
    const cut = {
      remote: this.remote,
      protocol,
      reason,
      unacknowledged: unacknowledged(this.socket) + unsent,
      ...(streams && { streams: streams.failed + streams.open }),
    };
    this.program.destroy();
    this.socket.destroy();
    return cut;
  }

  /** In how many ms it will have been quiet for `least` ms, or for as long as it needs, if nothing moves until then. */
  quietIn(least: number): number {
    // A FIN would cut off whatever is spoken inside, and quiet says nothing of that.
    if (isUnderUnknownTls(this.socket)) return LONGEST_PAUSE;
    const silence = this.#silence();
    if (silence === undefined) return LONGEST_PAUSE;
    const now = performance.now();
    const quiet = this.isFromQueue ? Math.min(silence.quiet, now - this.#since) : silence.quiet;
    const patience = patienceWith(this.socket, silence, least);
    const wait = Math.max(least - quiet, Math.min(patience - quiet, this.patientUntil - now));
    return wait > 0 || !hasUnread(this.socket) ? wait : LONGEST_PAUSE;
  }

  #silence(): Silence | undefined {
    return silenceOn(this.socket, () => {
      this.#seen = observe(this.socket, this.#seen);
      return performance.now() - this.#seen.at;
    });
  }

  #currentEnd(): ProtocolEnd {
    this.#end = this.#findEnd(this, this.#end);
    return this.#end;
  }

  #lookAtOpen(): number {
    const end = this.#currentEnd();
    const { protocol, session } = end;
    this.#lastProtocol = protocol;
    if (this.close.options.onDrain !== undefined) {
      this.#onDrain.call({ socket: this.program, protocol, ...(session && { session }) }, () => {
        this.due = 0;
      });
    }
    if (this.#onDrain.isRunning && protocol !== 'h2') return LONGEST_PAUSE;
    const wait = this.#notBefore - performance.now();
    return wait > 0 ? wait : end.look();
  }

  /** A peer may be silent for `lingerWait`. One that still sends, or has not acknowledged everything, stays. */
  #lookAtLingering(): number {
    this.#seen = observe(this.socket, this.#seen);
    const now = performance.now();
    const left = this.close.options.lingerWait - (now - Math.max(this.#lingersSince, this.#seen.at));
    if (left > 0) return left;
    if (unacknowledged(this.socket) > 0) return LONGEST_PAUSE;
    // The peer's end has come, and what it said before that has not.
    if (outOfOrderOn(this.socket) > this.#outOfOrderBefore)
      this.close.noteDoubt(`${this.remote}: its last words were lost on the way, and came no more`);
    else if (this.#sentWhenQuiet !== undefined && mayLoseWords(this.socket))
      this.close.noteDoubt(
        `${this.remote}: it was ended for being quiet, and its end has not come: its words may be lost`,
      );
    this.program.destroy();
    this.socket.destroy();
    return LONGEST_PAUSE;
  }

  #noteLateAnswer(): void {
    this.close.accounts.countLate();
    if (this.#end?.wasOwed === true) this.close.noteDoubt(LATE_ANSWER);
  }
}
