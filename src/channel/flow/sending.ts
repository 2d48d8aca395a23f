import { END, NOTHING } from '../wire/frames.ts';
import type { FrameWriter } from '../wire/frame-writer.ts';
import type { Hello } from '../wire/hello.ts';
import { OutgoingPayload, type OutgoingHost, type Payload } from './outgoing-payload.ts';
import type { Transport } from '../wire/transport.ts';
import { SendWindow } from './windows.ts';

// So many payloads that were given whole are sent at once, those that were given first: they use up a connection's credit, and
// of each that is begun the other side has to hold a part.
const AT_ONCE = 8;

/** Hears when a payload has gone, or what its chunks have thrown. */
export type OnOver = (error?: unknown) => void;

/** What is sent of payloads on one connection: as much as the other side has granted, and takes. */
export class Sending implements OutgoingHost {
  readonly writer: FrameWriter;
  readonly #transport: Transport;
  readonly #maxUnsent: number;
  readonly #isHeldBack: () => boolean;
  readonly #outgoing = new Map<number, OutgoingPayload>();
  #window = new SendWindow(0);
  /** Bytes of payloads that are at hand, and wait for the other side's credit. */
  #waiting = 0;
  #peer: Hello | undefined;

  /**
   * `maxUnsent`: bytes that may wait to be written before no more is made. `isHeldBack`: whether something waits for credit that goes
   * before what is left of long payloads; these would use up all there is.
   */
  constructor(writer: FrameWriter, transport: Transport, maxUnsent: number, isHeldBack: () => boolean) {
    this.writer = writer;
    this.#transport = transport;
    this.#maxUnsent = maxUnsent;
    this.#isHeldBack = isHeldBack;
  }

  /** The longest payload of a frame that the other side takes. */
  get maxFrame(): number {
    return this.#peer?.maxFrame ?? 0;
  }

  get window(): SendWindow {
    return this.#window;
  }

  /** Bytes that the other side has granted, and that have not been used. */
  get granted(): number {
    return this.#window.left;
  }

  /** Whether as much waits to be written as may. */
  get isFull(): boolean {
    return this.#transport.unsent > this.#maxUnsent;
  }

  /** Whether more waits for the other side to read than may: it is to get no credit for new requests. */
  get isBehind(): boolean {
    return this.#waiting > this.#maxUnsent;
  }

  /** Bytes that a frame may have that goes now. */
  get room(): number {
    if (this.#peer === undefined || this.isFull) return 0;
    return Math.min(this.#peer.maxFrame, this.#peer.requestCredit, this.#window.left);
  }

  /** The other side has said what it takes. */
  begin(peer: Hello): void {
    this.#peer = peer;
    this.#window = new SendWindow(peer.credit);
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
    const waitsForOthers = this.#outgoing.size >= AT_ONCE;
    const first = isBytes && room > 0 && !waitsForOthers ? payload.subarray(0, room) : NOTHING;
    const taken = prefix.length + first.length;
    this.#window.take(taken);
    this.writer.add(kind, flags, id, first, prefix);
    const rest = isBytes ? payload.subarray(first.length) : payload;
    const over = (error?: unknown): void => {
      this.#outgoing.delete(id);
      onOver(error);
    };
    const granted = (this.#peer?.requestCredit ?? 0) - taken;
    const outgoing = new OutgoingPayload(id, rest, this, granted, over);
    this.#outgoing.set(id, outgoing);
    this.#waiting += outgoing.waiting;
    this.sendMore();
    return false;
  }

  /** Whether something of this payload has not gone. */
  isSending(id: number): boolean {
    return this.#outgoing.has(id);
  }

  /** Sends nothing more of a payload. */
  stop(id: number): void {
    const outgoing = this.#outgoing.get(id);
    if (outgoing === undefined) return;
    this.#waiting -= outgoing.waiting;
    outgoing.stop();
    this.#outgoing.delete(id);
  }

  /** Credit has come: for the connection (0), or for one payload; of one that is over it means nothing. False where it is too much. */
  grant(id: number, bytes: number): boolean {
    const window = id === 0 ? this.#window : this.#outgoing.get(id)?.window;
    return window?.add(bytes) !== false;
  }

  /** A frame of each payload whose turn it is, until there is no credit, or enough waits to be written. */
  sendMore(): void {
    let hasSent = this.#outgoing.size > 0;
    while (hasSent && !this.isFull && !this.#isHeldBack()) {
      hasSent = false;
      let whole = 0;
      for (const payload of this.#outgoing.values()) {
        if (payload.isWhole) whole += 1;
        if (payload.isWhole && whole > AT_ONCE) continue;
        const before = payload.waiting;
        hasSent = payload.sendOne() || hasSent;
        this.#waiting -= before - payload.waiting;
      }
      this.writer.flush();
    }
  }

  /** The connection is over. */
  end(): void {
    for (const payload of this.#outgoing.values()) payload.stop();
    this.#outgoing.clear();
  }
}
