import { END, FRAME, NOTHING } from '../wire/frames.ts';
import type { FrameWriter } from '../wire/frame-writer.ts';
import type { Hello } from '../wire/hello.ts';
import type { Transport } from '../wire/transport.ts';
import type { Payload } from './chunks.ts';
import { OutgoingPayload } from './outgoing-payload.ts';
import { SendWindow } from './windows.ts';

// How many payloads that were given as bytes are sent at once, the oldest first. Each uses up the connection's credit, and the
// other side must hold a part of each.
const AT_ONCE = 8;

/** Sends payloads on one connection, as far as the other side has granted credit. */
export class Sending {
  readonly #writer: FrameWriter;
  readonly #transport: Transport;
  readonly #maxUnsent: number;
  readonly #isHeldBack: () => boolean;
  readonly #outgoing = new Map<number, OutgoingPayload>();
  #window = new SendWindow(0);
  /** The bytes of payloads that wait for the other side's credit. */
  #waiting = 0;
  #peer: Hello | undefined;

  /**
   * `maxUnsent`: nothing more is sent while more bytes than this wait to be written. `isHeldBack`: whether something new waits for
   * credit. Long payloads, which would use up all credit, are held back then.
   */
  constructor(writer: FrameWriter, transport: Transport, maxUnsent: number, isHeldBack: () => boolean) {
    this.#writer = writer;
    this.#transport = transport;
    this.#maxUnsent = maxUnsent;
    this.#isHeldBack = isHeldBack;
  }

  /** The longest payload of a frame that the other side takes. */
  get maxFrame(): number {
    return this.#peer?.maxFrame ?? 0;
  }

  /** Bytes that the other side has granted, and that have not been used. */
  get granted(): number {
    return this.#window.left;
  }

  /** Whether too much waits to be written. */
  get isFull(): boolean {
    return this.#transport.unsent > this.#maxUnsent;
  }

  /** Whether the other side reads too slowly. It gets no credit for new requests then. */
  get isBehind(): boolean {
    return this.#waiting > this.#maxUnsent;
  }

  /** The longest payload of a frame that can be sent now. */
  get room(): number {
    if (this.#peer === undefined || this.isFull) return 0;
    return Math.min(this.#peer.maxFrame, this.#peer.requestCredit, this.#window.left);
  }

  /** The HELLO of the other side has come. */
  begin(peer: Hello): void {
    this.#peer = peer;
    this.#window = new SendWindow(peer.credit);
  }

  /** Sends a MESSAGE, which must fit in `room`. */
  sendMessage(message: Uint8Array): void {
    this.#window.take(message.length);
    this.#writer.add(FRAME.message, 0, 0, message);
  }

  /**
   * Sends a payload: the first frame, of the given kind, now, and the rest when the other side grants credit. `prefix` must fit in
   * `room`. True where everything was sent. Otherwise calls `onEnd` later, once, with what the program's chunks threw, if they did.
   */
  send(
    kind: number,
    flags: number,
    id: number,
    payload: Payload,
    prefix: Uint8Array,
    onEnd: (error?: unknown) => void,
  ): boolean {
    const isBytes = payload instanceof Uint8Array;
    const room = this.room - prefix.length;
    if (isBytes && payload.length <= room) {
      this.#window.take(prefix.length + payload.length);
      this.#writer.add(kind, flags | END, id, payload, prefix);
      return true;
    }
    const waitsForOthers = this.#outgoing.size >= AT_ONCE;
    const first = isBytes && room > 0 && !waitsForOthers ? payload.subarray(0, room) : NOTHING;
    const taken = prefix.length + first.length;
    this.#window.take(taken);
    this.#writer.add(kind, flags, id, first, prefix);
    const rest = isBytes ? payload.subarray(first.length) : payload;
    const outgoing = new OutgoingPayload(rest, (this.#peer?.requestCredit ?? 0) - taken, {
      write: (chunk, isLast) => {
        this.#window.take(chunk.length);
        this.#writer.add(FRAME.data, isLast ? END : 0, id, chunk);
      },
      onChunk: () => this.sendMore(),
      onEnd: (error) => {
        this.#outgoing.delete(id);
        onEnd(error);
      },
    });
    this.#outgoing.set(id, outgoing);
    this.#waiting += outgoing.waiting;
    this.sendMore();
    return false;
  }

  /** Whether a part of this payload is unsent. */
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

  /** Credit has come for the connection (id 0) or for one payload. Ignored where the payload has ended. False where it is too much. */
  grant(id: number, bytes: number): boolean {
    const window = id === 0 ? this.#window : this.#outgoing.get(id)?.window;
    return window?.add(bytes) !== false;
  }

  /** Sends one frame of each payload in turn, until there is no credit, or enough waits to be written. */
  sendMore(): void {
    let hasSent = this.#outgoing.size > 0;
    while (hasSent && !this.isFull && !this.#isHeldBack()) {
      hasSent = false;
      let whole = 0;
      for (const payload of this.#outgoing.values()) {
        if (payload.isWhole) whole += 1;
        if (payload.isWhole && whole > AT_ONCE) continue;
        const before = payload.waiting;
        hasSent = payload.sendOne(Math.min(this.#window.left, this.maxFrame)) || hasSent;
        this.#waiting -= before - payload.waiting;
      }
      this.#writer.flush();
    }
  }

  /** The connection has ended. */
  end(): void {
    for (const payload of this.#outgoing.values()) payload.stop();
    this.#outgoing.clear();
  }
}
