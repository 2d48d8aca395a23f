import { LastCallError, type LastCallErrorCode } from '../../errors.ts';
import { Gathering } from '../flow/gathering.ts';
import { Receiving } from '../flow/receiving.ts';
import { Sending } from '../flow/sending.ts';
import { ERROR_CODES, type ErrorKind, FIRST_OPTIONAL, FRAME, wordFor } from '../wire/frames.ts';
import { FrameReader } from '../wire/frame-reader.ts';
import { FrameWriter } from '../wire/frame-writer.ts';
import { chooseVersion, decodeHello, encodeHello, type Hello, LONGEST_HELLO } from '../wire/hello.ts';
import { codeAndText, read32, readCodeAndText } from '../wire/payloads.ts';
import type { Clock, Transport, TransportEvents } from '../wire/transport.ts';
import type { LinkSettings } from './limits.ts';
import { Timeouts } from './timeouts.ts';

/** How a connection ended. */
export interface LinkEnd {
  /** Undefined where one of the sides ended it in good order. */
  readonly error: LastCallError | undefined;
  /** The last request that the other side accepted, where its ERROR gives it. */
  readonly lastAccepted: number | undefined;
}

/** The client's or the server's side of a connection. It deals with requests and farewells, the link with the rest. */
export interface LinkOwner {
  /** The other side's HELLO has come. Everything may be sent from now on. */
  opened(peer: Hello): void;
  frame(kind: number, flags: number, id: number, payload: Uint8Array): void;
  /** Credit has come, or everything has been written. */
  maySend(): void;
  /** Whether something new, a request or a message, waits for room on this connection. */
  readonly awaitsRoom: boolean;
  /** The last request that was accepted, which goes into an ERROR of ours. */
  readonly lastAccepted: number;
  /** Called once. No frame comes after it. */
  ended(end: LinkEnd): void;
  /** Both sides have ended. The last call. */
  closed(): void;
}

const CODES: Readonly<Record<ErrorKind, LastCallErrorCode>> = {
  protocol: 'ERR_CHANNEL_PROTOCOL',
  version: 'ERR_CHANNEL_VERSION',
  limit: 'ERR_CHANNEL_LIMIT',
  timeout: 'ERR_CHANNEL_TIMEOUT',
};

// How long to wait for the other side's FIN after ours, in milliseconds. The wait starts again while the bytes before our FIN
// still leave. (A graceful close has its own, shorter wait.)
const LINGER = 30_000;

/** What both sides of a connection share: HELLO, credit, timeouts, ERROR, and the end. */
export class Link implements TransportEvents {
  readonly writer: FrameWriter;
  readonly sending: Sending;
  readonly receiving: Receiving;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #settings: LinkSettings;
  readonly #isServer: boolean;
  readonly #owner: LinkOwner;
  readonly #reader: FrameReader;
  readonly #timeouts: Timeouts;
  #peer: Hello | undefined;
  #step: 'greeting' | 'open' | 'ended' = 'greeting';
  #hasSentFin = false;
  #isPaused = false;
  #stopLinger: (() => void) | undefined;

  /** Sends HELLO at once. */
  constructor(transport: Transport, clock: Clock, settings: LinkSettings, owner: LinkOwner) {
    this.#transport = transport;
    this.#clock = clock;
    this.#settings = settings;
    this.#isServer = settings.hello.maxRequests > 0;
    this.#owner = owner;
    this.writer = new FrameWriter((chunks) => transport.write(chunks));
    this.sending = new Sending(this.writer, transport, settings.maxUnread, () => owner.awaitsRoom);
    // A handler may begin its reply and read the request whole in it. That is no echo.
    const mayBeEcho = (id: number): boolean => !this.#isServer && this.sending.isSending(id);
    const gathering = new Gathering(settings.maxGathered, this.#isServer, mayBeEcho);
    // A client that does not read its replies gets no credit for more requests. They would fill this process.
    const withholds = (): boolean => this.#isServer && this.sending.isBehind;
    this.receiving = new Receiving(this.writer, settings.hello, gathering, withholds);
    this.#reader = new FrameReader(
      LONGEST_HELLO,
      (kind, flags, id, payload) => this.#take(kind, flags, id, payload),
      (length) => this.#refuseLength(length),
    );
    this.#timeouts = new Timeouts(clock, settings, {
      hasHello: () => this.#peer !== undefined,
      isWithinFrame: () => this.#reader.isWithinFrame,
      frames: () => this.#reader.frames,
      isPaused: () => this.#isPaused,
      unsent: () => (this.#isPaused ? transport.unsent : 0),
      ping: () => this.writer.add(FRAME.ping, 0, 0, new Uint8Array(8)),
      onTimeout: (text) => this.fail('timeout', text),
    });
    this.writer.add(FRAME.hello, 0, 0, encodeHello(settings.hello));
    this.writer.flush();
    transport.listen(this);
  }

  get isOpen(): boolean {
    return this.#step === 'open';
  }

  /** Sends ERROR, and ends the connection. */
  fail(kind: ErrorKind, text: string): void {
    if (this.#step === 'ended') return;
    this.writer.add(FRAME.error, 0, this.#owner.lastAccepted, codeAndText(ERROR_CODES[kind], text));
    this.end(new LastCallError(CODES[kind], text));
  }

  /** Ends the connection: our FIN goes after everything that was written. */
  end(error?: LastCallError, lastAccepted?: number): void {
    this.#stop({ error, lastAccepted });
    this.#sendFin();
  }

  /** Ends the connection now. */
  destroy(): void {
    this.#stop({ error: undefined, lastAccepted: undefined });
    this.#transport.destroy();
  }

  receive(chunk: Uint8Array): void {
    if (this.#step === 'ended') return;
    this.#timeouts.noteReceived();
    this.#reader.push(chunk);
    this.writer.flush();
    if (this.sending.isFull) this.#slowDown();
  }

  drained(): void {
    if (this.#isPaused) {
      this.#isPaused = false;
      this.#timeouts.noteReceived();
      this.#transport.resume();
    }
    this.#sendMore();
  }

  peerEnded(): void {
    this.end();
  }

  closed(cause: Error | undefined): void {
    const error = cause && new LastCallError('ERR_CHANNEL_BROKEN', `The connection broke: ${cause.message}`, { cause });
    this.#stop({ error, lastAccepted: undefined });
    this.#stopLinger?.();
    this.#owner.closed();
  }

  #take(kind: number, flags: number, id: number, payload: Uint8Array): void {
    if (this.#peer === undefined) return this.#takeFirst(kind, payload);
    switch (kind) {
      case FRAME.request:
      case FRAME.reply:
      case FRAME.data:
      case FRAME.message:
        if (!this.receiving.take(payload.length)) {
          return this.fail('limit', `More than the ${this.#settings.maxUnread} bytes that were granted came unread`);
        }
        return this.#owner.frame(kind, flags, id, payload);
      case FRAME.credit:
        return this.#takeCredit(id, payload);
      case FRAME.ping:
        if (payload.length !== 8) return this.fail('protocol', `A PING has 8 bytes, this has ${payload.length}`);
        return this.writer.add(FRAME.pong, 0, 0, payload);
      case FRAME.pong:
        return;
      case FRAME.error:
        return this.#takeError(id, payload);
      case FRAME.hello:
        return this.fail('protocol', 'A second HELLO came');
      default:
        if (kind < FIRST_OPTIONAL) this.#owner.frame(kind, flags, id, payload);
    }
  }

  #takeFirst(kind: number, payload: Uint8Array): void {
    if (kind === FRAME.error) return this.#takeError(0, payload);
    if (kind !== FRAME.hello) return this.fail('protocol', 'The other side does not speak this protocol: no HELLO');
    try {
      const peer = decodeHello(payload);
      chooseVersion(this.#settings.hello, peer);
      this.#peer = peer;
      this.sending.begin(peer);
      this.#reader.longest = this.#settings.maxFrame;
      this.#step = 'open';
      this.#owner.opened(peer);
    } catch (error) {
      if (!(error instanceof LastCallError)) throw error;
      this.fail(error.code === 'ERR_CHANNEL_VERSION' ? 'version' : 'protocol', error.message);
    }
  }

  #takeCredit(id: number, payload: Uint8Array): void {
    const bytes = read32(payload);
    if (bytes === undefined || payload.length !== 4) return this.fail('protocol', 'A CREDIT has 4 bytes');
    if (!this.sending.grant(id, bytes)) return this.fail('protocol', 'More credit came than there can be');
    this.#sendMore();
  }

  /** Sends new requests and messages before the rest of long payloads. */
  #sendMore(): void {
    this.receiving.grantWithheld();
    this.#owner.maySend();
    this.sending.sendMore();
  }

  #takeError(id: number, payload: Uint8Array): void {
    const { code, text } = readCodeAndText(payload) ?? { code: 0, text: '' };
    const error = new LastCallError(
      CODES[wordFor(ERROR_CODES, code) ?? 'protocol'],
      `The other side ended the connection: ${text}`,
    );
    this.end(error, this.#peer === undefined ? 0 : id);
  }

  #refuseLength(length: number): void {
    if (this.#peer === undefined) return this.fail('protocol', 'The other side does not speak this protocol');
    this.fail('limit', `A frame of ${length} bytes came, where ${this.#settings.maxFrame} are allowed`);
  }

  /** The peer does not read. Only a server stops reading then: if both sides did, they could wait for each other for ever. */
  #slowDown(): void {
    if (this.#isServer) {
      this.#isPaused = true;
      this.#transport.pause();
    } else if (this.#transport.unsent > 2 * this.#settings.maxUnread + this.sending.granted) {
      this.fail('limit', 'The other side sends requests or PINGs, and does not read the answers');
    }
  }

  #stop(end: LinkEnd): void {
    if (this.#step === 'ended') return;
    this.#step = 'ended';
    this.#timeouts.stop();
    this.#reader.stop();
    this.sending.end();
    this.receiving.end();
    this.#owner.ended(end);
  }

  #linger(): void {
    const { unsent } = this.#transport;
    this.#stopLinger = this.#clock.after(LINGER, () => {
      if (this.#transport.unsent < unsent) this.#linger();
      else this.#transport.destroy();
    });
  }

  /** What comes afterwards is read and discarded. A close with unread bytes would be a reset (RFC 9112 9.6). */
  #sendFin(): void {
    if (this.#hasSentFin) return;
    this.#hasSentFin = true;
    this.writer.end();
    this.#transport.resume();
    this.#transport.end();
    this.#linger();
  }
}
