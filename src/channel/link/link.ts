import { LastCallError } from '../../errors.ts';
import {
  codeAndText,
  ERROR_CODES,
  type ErrorKind,
  FIRST_OPTIONAL,
  FRAME,
  number32,
  read32,
  readCodeAndText,
} from '../wire/frames.ts';
import { FrameReader } from '../wire/frame-reader.ts';
import { FrameWriter } from '../wire/frame-writer.ts';
import { Gathering } from '../flow/gathering.ts';
import { chooseVersion, decodeHello, encodeHello, type Hello, LONGEST_HELLO } from '../wire/hello.ts';
import type { IncomingHost } from '../flow/incoming-payload.ts';
import { LinkWatch, type LinkWaits } from './link-watch.ts';
import { LINK_ERRORS, linkErrorFor, printable } from './link-errors.ts';
import { Sending } from '../flow/sending.ts';
import type { Clock, Transport, TransportEvents } from '../wire/transport.ts';
import { ReceiveWindow } from '../flow/windows.ts';

/** How one side behaves on its connections. */
export interface LinkSettings extends LinkWaits {
  readonly hello: Hello;
  /** Bytes that may wait to be written before no more is made. */
  readonly maxUnsent: number;
  /** Bytes that payloads which are read whole may hold together while they come, but for the one that was begun first. */
  readonly maxGathered: number;
  /**
   * Whether to stop reading while a peer that does not read has left `maxUnsent` waiting. Of the two sides only the server
   * does: where both did they could wait for each other for ever.
   */
  readonly pausesWhenFull: boolean;
}

/** How a connection came to its end. */
export interface LinkEnd {
  /** Undefined where the other side ended it in good order, or we did. */
  readonly error: LastCallError | undefined;
  /** The last request that was accepted, where the other side has said so with its ERROR. */
  readonly lastAccepted: number | undefined;
}

/** The side that has a connection: it knows of requests and of farewells, the link of everything else. */
export interface LinkOwner {
  /** The other side's HELLO has come: everything may be sent from now on. */
  opened(peer: Hello): void;
  frame(kind: number, flags: number, id: number, payload: Uint8Array): void;
  /** Credit has come, or what waited has been written. */
  maySend(): void;
  /** Whether something new, a request or a message, waits for more room on this connection. */
  readonly awaitsRoom: boolean;
  /** What an ERROR of ours is to say: the last request that was accepted. */
  readonly lastAccepted: number;
  /** Called once. No frame comes after it. */
  ended(end: LinkEnd): void;
  /** Both sides have ended, and nothing is left of it. */
  closed(): void;
}

// A FIN of ours that the other side does not answer with its own is the end after this, in milliseconds; while what was to go
// before it goes on its way, it is not. (A graceful close has its own, shorter wait.)
const LINGER = 30_000;

/** What the two sides of a connection have in common: greeting, credit, signs of life, errors, and the end. */
export class Link implements TransportEvents, IncomingHost {
  readonly writer: FrameWriter;
  readonly gathering: Gathering;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #settings: LinkSettings;
  readonly #owner: LinkOwner;
  readonly #reader: FrameReader;
  readonly #watch: LinkWatch;
  readonly #received: ReceiveWindow;
  readonly #sending: Sending;
  #peer: Hello | undefined;
  #step: 'greeting' | 'open' | 'over' = 'greeting';
  #hasSaidEnd = false;
  #isPaused = false;
  #forgetLinger: (() => void) | undefined;

  /** Says HELLO at once. */
  constructor(transport: Transport, clock: Clock, settings: LinkSettings, owner: LinkOwner) {
    this.#transport = transport;
    this.#clock = clock;
    this.#settings = settings;
    this.#owner = owner;
    this.writer = new FrameWriter(transport);
    this.#sending = new Sending(this.writer, transport, settings.maxUnsent, () => this.#owner.awaitsRoom);
    const isServer = settings.hello.maxRequests > 0;
    // A handler may say that its reply has begun, and read the request whole in it: that is no echo.
    const mayBeEcho = (id: number): boolean => !isServer && this.#sending.isSending(id);
    this.gathering = new Gathering(settings.maxGathered, isServer, mayBeEcho);
    this.#received = new ReceiveWindow(settings.hello.credit);
    this.#reader = new FrameReader(
      LONGEST_HELLO,
      (kind, flags, id, payload) => this.#take(kind, flags, id, payload),
      (length) => this.#refuseLength(length),
    );
    this.#watch = new LinkWatch(clock, settings, {
      isGreeted: () => this.#peer !== undefined,
      isWithinFrame: () => this.#reader.isWithinFrame,
      frames: () => this.#reader.frames,
      isPaused: () => this.#isPaused,
      unsent: () => (this.#isPaused ? this.#transport.unsent : 0),
      ping: () => this.writer.add(FRAME.ping, 0, 0, new Uint8Array(8)),
      timedOut: (what) => this.fail('timeout', what),
    });
    this.writer.add(FRAME.hello, 0, 0, encodeHello(settings.hello));
    this.writer.flush();
  }

  get isOpen(): boolean {
    return this.#step === 'open';
  }

  get requestCredit(): number {
    return this.#settings.hello.requestCredit;
  }

  /** What is sent of payloads, as far as the other side has granted it. */
  get sending(): Sending {
    return this.#sending;
  }

  consumed(bytes: number): void {
    const more = this.#received.giveBack(bytes);
    if (more > 0 && this.#step === 'open') this.writer.add(FRAME.credit, 0, 0, number32(more));
  }

  grant(id: number, bytes: number): void {
    if (this.#step === 'open') this.writer.add(FRAME.credit, 0, id, number32(bytes));
  }

  /** Tells the other side what is wrong with it, and ends the connection. */
  fail(kind: ErrorKind, text: string): void {
    if (this.#step === 'over') return;
    this.writer.add(FRAME.error, 0, this.#owner.lastAccepted, codeAndText(ERROR_CODES[kind], text));
    this.#endWith({ error: new LastCallError(LINK_ERRORS[kind], text), lastAccepted: undefined });
    this.#sayEnd();
  }

  /** Ends the connection in good order: our FIN after everything that was to be written. */
  end(): void {
    this.#endWith({ error: undefined, lastAccepted: undefined });
    this.#sayEnd();
  }

  /** Ends it now. */
  destroy(): void {
    this.#endWith({ error: undefined, lastAccepted: undefined });
    this.#transport.destroy();
  }

  receive(chunk: Uint8Array): void {
    if (this.#step === 'over') return;
    this.#watch.noteHeard();
    this.#reader.push(chunk);
    this.writer.flush();
    if (this.#sending.isFull) this.#slowDown();
  }

  drained(): void {
    if (this.#isPaused) {
      this.#isPaused = false;
      this.#watch.noteHeard();
      this.#transport.resume();
    }
    this.#goOn();
  }

  peerEnded(): void {
    this.#endWith({ error: undefined, lastAccepted: undefined });
    this.#sayEnd();
  }

  closed(cause: Error | undefined): void {
    const error = cause && new LastCallError('ERR_CHANNEL_BROKEN', `The connection broke: ${cause.message}`, { cause });
    this.#endWith({ error, lastAccepted: undefined });
    this.#forgetLinger?.();
    this.#owner.closed();
  }

  #take(kind: number, flags: number, id: number, payload: Uint8Array): void {
    if (this.#peer === undefined) return this.#greet(kind, payload);
    switch (kind) {
      case FRAME.request:
      case FRAME.reply:
      case FRAME.data:
      case FRAME.message:
        if (!this.#received.take(payload.length)) {
          return this.fail('limit', `More than the ${this.#settings.hello.credit} bytes that were granted came unread`);
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

  #greet(kind: number, payload: Uint8Array): void {
    if (kind === FRAME.error) return this.#takeError(0, payload);
    if (kind !== FRAME.hello) return this.fail('protocol', 'The other side does not speak this protocol: no HELLO');
    try {
      const peer = decodeHello(payload);
      chooseVersion(this.#settings.hello, peer);
      this.#peer = peer;
      this.#sending.begin(peer);
      this.#reader.longest = this.#settings.hello.maxFrame;
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
    if (!this.#sending.grant(id, bytes)) return this.fail('protocol', 'More credit came than there can be');
    this.#goOn();
  }

  /** What is new goes before the rest of what is long. */
  #goOn(): void {
    this.#owner.maySend();
    this.#sending.sendMore();
  }

  #takeError(id: number, payload: Uint8Array): void {
    const { code, text } = readCodeAndText(payload) ?? { code: 0, text: '' };
    const error = new LastCallError(linkErrorFor(code), `The other side ended the connection: ${printable(text)}`);
    this.#endWith({ error, lastAccepted: this.#peer === undefined ? 0 : id });
    this.#sayEnd();
  }

  #refuseLength(length: number): void {
    if (this.#peer === undefined) return this.fail('protocol', 'The other side does not speak this protocol');
    this.fail('limit', `A frame of ${length} bytes came, where ${this.#settings.hello.maxFrame} are allowed`);
  }

  #slowDown(): void {
    if (this.#settings.pausesWhenFull) {
      this.#isPaused = true;
      this.#transport.pause();
    } else if (this.#transport.unsent > 2 * this.#settings.maxUnsent + this.#sending.granted) {
      this.fail('limit', 'The other side asks, and does not read the answers');
    }
  }

  #endWith(end: LinkEnd): void {
    if (this.#step === 'over') return;
    this.#step = 'over';
    this.#watch.stop();
    this.#reader.stop();
    this.#sending.end();
    this.#owner.ended(end);
  }

  #linger(): void {
    const { unsent } = this.#transport;
    this.#forgetLinger = this.#clock.after(LINGER, () => {
      if (this.#transport.unsent < unsent) this.#linger();
      else this.#transport.destroy();
    });
  }

  /** What comes after it is read, and discarded: a close with something unread would be a reset (RFC 9112 9.6). */
  #sayEnd(): void {
    if (this.#hasSaidEnd) return;
    this.#hasSaidEnd = true;
    this.writer.end();
    this.#transport.resume();
    this.#transport.end();
    this.#linger();
  }
}
