import { LastCallError } from '../errors.ts';
import {
  codeAndText,
  END,
  ERROR_CODES,
  type ErrorKind,
  FIRST_OPTIONAL,
  FRAME,
  NOTHING,
  number32,
  read32,
  readCodeAndText,
} from './frames.ts';
import { FrameReader } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';
import { chooseVersion, decodeHello, encodeHello, type Hello, LONGEST_HELLO } from './hello.ts';
import type { IncomingHost } from './incoming-payload.ts';
import { LinkWatch, type LinkWaits } from './link-watch.ts';
import { OutgoingPayload, type OutgoingHost, type Payload } from './outgoing-payload.ts';
import type { Clock, Transport, TransportEvents } from './transport.ts';
import { ReceiveWindow, SendWindow } from './windows.ts';

/** How one side behaves on its connections. */
export interface LinkSettings extends LinkWaits {
  readonly hello: Hello;
  /** Bytes that may wait to be written before no more is made. */
  readonly maxUnsent: number;
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
  /** What an ERROR of ours is to say: the last request that was accepted. */
  readonly lastAccepted: number;
  /** Called once. No frame comes after it. */
  ended(end: LinkEnd): void;
  /** Both sides have ended, and nothing is left of it. */
  closed(): void;
}

/** Hears when a payload has gone, or what its chunks have thrown. */
export type OnOver = (error?: unknown) => void;

// A FIN of ours that the other side does not answer with its own is the end after this, in milliseconds.
const LINGER = 2_000;

/** What the two sides of a connection have in common: greeting, credit, signs of life, errors, and the end. */
export class Link implements TransportEvents, IncomingHost, OutgoingHost {
  readonly writer: FrameWriter;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #settings: LinkSettings;
  readonly #owner: LinkOwner;
  readonly #reader: FrameReader;
  readonly #watch: LinkWatch;
  readonly #received: ReceiveWindow;
  readonly #outgoing = new Map<number, OutgoingPayload>();
  #window = new SendWindow(0);
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

  get maxFrame(): number {
    return this.#peer?.maxFrame ?? 0;
  }

  get window(): SendWindow {
    return this.#window;
  }

  /** Bytes that a frame may have that goes now; 0 also while as much waits to be written as may. */
  get room(): number {
    if (this.#peer === undefined || this.#isFull) return 0;
    return Math.min(this.#peer.maxFrame, this.#peer.requestCredit, this.#window.left);
  }

  get #isFull(): boolean {
    return this.#transport.unsent > this.#settings.maxUnsent;
  }

  /**
   * Sends a payload: its first frame, of the given kind, at once; the rest when the other side grants it. True where all has
   * gone; else `onOver` is called once it has, or with what the program's chunks have thrown. A `prefix` must find room.
   */
  send(kind: number, flags: number, id: number, payload: Payload, prefix: Uint8Array, onOver: OnOver): boolean {
    const isBytes = payload instanceof Uint8Array;
    const room = this.room - prefix.length;
    if (isBytes && payload.length <= room) {
      this.#window.take(prefix.length + payload.length);
      this.writer.add(kind, flags | END, id, payload, prefix);
      return true;
    }
    const first = isBytes && room > 0 ? payload.subarray(0, room) : NOTHING;
    const taken = prefix.length + first.length;
    this.#window.take(taken);
    this.writer.add(kind, flags, id, first, prefix);
    const rest = isBytes ? payload.subarray(first.length) : payload;
    const over = (error?: unknown): void => {
      this.#outgoing.delete(id);
      onOver(error);
    };
    const granted = (this.#peer?.requestCredit ?? 0) - taken;
    this.#outgoing.set(id, new OutgoingPayload(id, rest, this, granted, over));
    this.wantToSend();
    return false;
  }

  /** Sends nothing more of a payload; whether there was something to stop. */
  stopSending(id: number): boolean {
    this.#outgoing.get(id)?.stop();
    return this.#outgoing.delete(id);
  }

  consumed(bytes: number): void {
    const more = this.#received.giveBack(bytes);
    if (more > 0 && this.#step === 'open') this.writer.add(FRAME.credit, 0, 0, number32(more));
  }

  grant(id: number, bytes: number): void {
    if (this.#step === 'open') this.writer.add(FRAME.credit, 0, id, number32(bytes));
  }

  /** A frame of each payload in turn, until there is no credit, or enough waits to be written. */
  wantToSend(): void {
    let hasSent = this.#step === 'open';
    while (hasSent && !this.#isFull) {
      hasSent = false;
      for (const payload of this.#outgoing.values()) hasSent = payload.sendOne() || hasSent;
      this.writer.flush();
    }
  }

  /** Tells the other side what is wrong with it, and ends the connection. */
  fail(kind: ErrorKind, text: string): void {
    if (this.#step === 'over') return;
    this.writer.add(FRAME.error, 0, this.#owner.lastAccepted, codeAndText(ERROR_CODES[kind], text));
    this.#endWith({ error: new LastCallError(CODES[kind], text), lastAccepted: undefined });
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
    if (this.#isFull) this.#slowDown();
  }

  drained(): void {
    if (this.#isPaused) {
      this.#isPaused = false;
      this.#watch.noteHeard();
      this.#transport.resume();
    }
    this.wantToSend();
    this.#owner.maySend();
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
      this.#window = new SendWindow(peer.credit);
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
    // Of a payload that is over it means nothing.
    const window = id === 0 ? this.#window : this.#outgoing.get(id)?.window;
    if (window?.add(bytes) === false) return this.fail('protocol', 'More credit came than there can be');
    this.wantToSend();
    this.#owner.maySend();
  }

  #takeError(id: number, payload: Uint8Array): void {
    const { code, text } = readCodeAndText(payload) ?? { code: 0, text: '' };
    const error = new LastCallError(codeFor(code), `The other side ended the connection: ${printable(text)}`);
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
    } else if (this.#transport.unsent > 2 * this.#settings.maxUnsent + this.#window.left) {
      this.fail('limit', 'The other side asks, and does not read the answers');
    }
  }

  #endWith(end: LinkEnd): void {
    if (this.#step === 'over') return;
    this.#step = 'over';
    this.#watch.stop();
    this.#reader.stop();
    for (const payload of this.#outgoing.values()) payload.stop();
    this.#outgoing.clear();
    this.#owner.ended(end);
  }

  /** What comes after it is read, and discarded: a close with something unread would be a reset (RFC 9112 9.6). */
  #sayEnd(): void {
    if (this.#hasSaidEnd) return;
    this.#hasSaidEnd = true;
    this.writer.end();
    this.#transport.resume();
    this.#transport.end();
    this.#forgetLinger = this.#clock.after(LINGER, () => this.#transport.destroy());
  }
}

const CODES = {
  protocol: 'ERR_CHANNEL_PROTOCOL',
  version: 'ERR_CHANNEL_VERSION',
  limit: 'ERR_CHANNEL_LIMIT',
  timeout: 'ERR_CHANNEL_TIMEOUT',
} as const;

function codeFor(code: number): (typeof CODES)[ErrorKind] {
  const known = (Object.keys(ERROR_CODES) as ErrorKind[]).find((kind) => ERROR_CODES[kind] === code);
  return CODES[known ?? 'protocol'];
}

/** What somebody else has written ends on terminals and in logs. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, '?');
}
