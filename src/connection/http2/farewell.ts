import type net from 'node:net';
import { Duplex } from 'node:stream';
import type { ServerHttp2Session } from 'node:http2';
import { replaceMethod } from '../../node/replace.ts';
import { pauseReads, writeQueueSize } from '../../node/fields.ts';
import { forbidPushes, openStreams } from '../../node/session-fields.ts';
import { whenRead } from './arrived.ts';
import { FailedStreams } from './failed-streams.ts';
import { GOAWAY_LENGTH, sendNotice } from './notice.ts';

// RFC 9113 7. (node:http2 has it too, and is not loaded for a program that does not speak HTTP/2.)
const NO_ERROR = 0;

// What a TLS 1.2 record with AES-GCM adds, which is more than 1.3 does: 5 bytes of head, 8 of nonce, 16 of tag.
const RECORD = 29;

// In how many turns of the loop Node has surely sent what waits for nothing: it sends at the end of a turn, and when the write
// before has ended, which it learns at the end of the next.
const TURNS_TO_SEND = 3;

// For how long a client that sends all the time may put off the last stream, in milliseconds.
const LONGEST_READING = 500;

// How soon to look again whether the kernel has taken what was written, in milliseconds.
const LOOK_AGAIN_AFTER = 10;

/**
 * The farewell of an HTTP/2 session. In cleartext: GOAWAY with the highest stream, a PING, and when that is answered GOAWAY
 * with the last stream. So every stream that the client opens before it knows is served. Under TLS only the second GOAWAY is
 * sent, for Node cannot send the first. A stream that crosses it is refused as never processed (RFC 9113 6.8), and its client
 * may send it again. Then the session closes when its streams have finished, and Node sends the last stream once more.
 */
export class SessionFarewell {
  readonly session: ServerHttp2Session;
  /** The socket that the session reads and writes. */
  readonly #program: net.Socket;
  readonly #isSecure: boolean;
  readonly #failed: FailedStreams;
  #step: 'to say' | 'notice sent' | 'last stream sent' = 'to say';
  /** When to send the last stream at the latest, on the clock of `performance.now()`: the client may not answer the PING. */
  #lastStreamAt = 0;
  /** Since when the last stream waits to be sent. */
  #waitsSince: number | undefined;
  /** Where in what the server has sent the farewell begins; undefined while responses are among it. */
  #begin: number | undefined;

  constructor(session: ServerHttp2Session, program: net.Socket, isSecure: boolean) {
    this.session = session;
    this.#program = program;
    this.#isSecure = isSecure;
    this.#failed = new FailedStreams(session);
  }

  /** Bytes that its streams hold, for the client's window has no room for them (RFC 9113 5.2). */
  get unsent(): number {
    const streams = openStreams(this.session).filter((stream) => stream instanceof Duplex);
    return streams.reduce((total, { writableLength }) => total + writableLength, 0);
  }

  get isOver(): boolean {
    return this.session.destroyed;
  }

  /** Streams that ended in an error since the close began, and those that are open. */
  get streams(): { readonly failed: number; readonly open: number } {
    return { failed: this.#failed.count, open: openStreams(this.session).length };
  }

  /** Whether a stream is open. */
  get isServing(): boolean {
    return openStreams(this.session).length > 0;
  }

  /** Whether a stream was ever opened. */
  get hasServed(): boolean {
    return (this.session.state.lastProcStreamID ?? 0) > 0;
  }

  /** Whether the program has pushed on it. The streams that a server opens have even ids (RFC 9113 5.1.1). */
  get #hasPushed(): boolean {
    return (this.session.state.nextStreamID ?? 2) > 2;
  }

  /** Sends what can be sent now; the client has `patience` ms to answer the PING. True once anything is sent. */
  send(transport: net.Socket, patience: number): boolean {
    if (this.#step === 'notice sent' && performance.now() > this.#lastStreamAt)
      this.#sendLastStream(transport, patience);
    if (this.#step !== 'to say') return true;
    this.#noteBegin(transport);
    const noticed = this.#isSecure || this.#hasPushed ? 'impossible' : sendNotice(transport);
    if (noticed === 'not now') return false;
    if (noticed === 'impossible') return this.#sendLastStream(transport, patience);
    forbidPushes(this.session);
    this.#step = 'notice sent';
    this.#lastStreamAt = this.#askBack(transport, patience) ? performance.now() + patience : 0;
    return true;
  }

  /** How many of the last bytes sent are frames of the farewell and no part of a response. */
  farewellBytes(transport: net.Socket): number {
    if (this.#step === 'to say' || this.isServing) return 0;
    // The last frames of a session are its GOAWAY, and Node's own; under TLS each may have a record to itself.
    if (this.#begin === undefined) return 2 * (GOAWAY_LENGTH + (this.#isSecure ? RECORD : 0));
    // The notice went past Node, and is not among what Node has written.
    return transport.bytesWritten - this.#begin + GOAWAY_LENGTH;
  }

  #noteBegin(transport: net.Socket): void {
    if (this.#begin !== undefined || this.isServing) return;
    this.#begin = transport.bytesWritten;
    this.session.once('stream', () => {
      this.#begin = undefined;
    });
  }

  /** False where too many PINGs are on their way already. */
  #askBack(transport: net.Socket, patience: number): boolean {
    try {
      return this.session.ping(() => {
        this.#lastStreamAt = 0;
        this.#sendLastStream(transport, patience);
      });
    } catch {
      return false;
    }
  }

  /** Sends GOAWAY when what has arrived is read; false where it waits for what was written before, for `patience` ms at most. */
  #sendLastStream(transport: net.Socket, patience: number): boolean {
    if (this.#step === 'last stream sent') return true;
    this.#waitsSince ??= performance.now();
    if (writeQueueSize(transport) > 0 && performance.now() - this.#waitsSince < patience) return false;
    this.#step = 'last stream sent';
    whenRead(transport, Math.min(patience, LONGEST_READING), () => this.#sayLastStream(transport));
    return true;
  }

  /**
   * Sends GOAWAY, and closes the session when it has gone out. Nothing is read meanwhile, for two reasons. The frame names the
   * last stream that was read before it was made: one that is read later would be processed, and then refused. And a stream
   * that Node 20 reads on a closed session whose GOAWAY has not gone out is freed while nghttp2 still writes to it.
   */
  #sayLastStream(transport: net.Socket): void {
    const resumeReads = pauseReads(this.#program);
    setImmediate(() => this.#closeWhenSent(transport, resumeReads, TURNS_TO_SEND));
    // The program may have closed it meanwhile: its GOAWAY is on its way.
    if (this.session.destroyed || this.session.closed) return;
    forbidPushes(this.session);
    this.session.goaway(NO_ERROR);
  }

  #closeWhenSent(transport: net.Socket, resumeReads: () => void, turns: number): void {
    const { session } = this;
    const waits = writeQueueSize(transport) > 0;
    if (!session.destroyed && (waits || (turns > 1 && (session.state.outboundQueueSize ?? 0) > 0))) {
      // Node reads again whenever a write of its own has ended.
      pauseReads(this.#program);
      if (waits) setTimeout(() => this.#closeWhenSent(transport, resumeReads, turns), LOOK_AGAIN_AFTER);
      else setImmediate(() => this.#closeWhenSent(transport, resumeReads, turns - 1));
      return;
    }
    // Some versions of Node send GOAWAY when a session is closed: once is enough.
    const replaced = replaceMethod(session, 'goaway', () => () => {});
    try {
      session.close();
    } finally {
      replaced.undo();
      resumeReads();
    }
  }
}
