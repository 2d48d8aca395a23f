import { FRAME } from '../wire/frames.ts';
import type { FrameWriter } from '../wire/frame-writer.ts';
import type { Hello } from '../wire/hello.ts';
import { number32 } from '../wire/payloads.ts';
import type { Gathering } from './gathering.ts';
import { ReceiveWindow } from './windows.ts';

/** Grants the other side of one connection credit, as fast as the program reads. */
export class Receiving {
  /** The credit of one request or reply, when its first frame comes. */
  readonly requestCredit: number;
  readonly gathering: Gathering;
  readonly #writer: FrameWriter;
  readonly #window: ReceiveWindow;
  readonly #withholds: () => boolean;
  /** Bytes that were read, and for which the other side has no new credit yet. */
  #withheld = 0;
  #hasEnded = false;

  /** `withholds`: whether the other side gets no credit now. When that ends, call `grantWithheld`. */
  constructor(writer: FrameWriter, hello: Hello, gathering: Gathering, withholds: () => boolean) {
    this.#writer = writer;
    this.requestCredit = hello.requestCredit;
    this.gathering = gathering;
    this.#window = new ReceiveWindow(hello.credit);
    this.#withholds = withholds;
  }

  /** A payload has come. False where it is longer than was granted. */
  take(bytes: number): boolean {
    return this.#window.take(bytes);
  }

  /** These bytes were read, or are ignored. */
  consumed(bytes: number): void {
    this.#withheld += bytes;
    if (this.#withholds()) return;
    const more = this.#window.giveBack(this.#withheld);
    this.#withheld = 0;
    if (more > 0) this.grant(0, more);
  }

  grantWithheld(): void {
    if (this.#withheld > 0) this.consumed(0);
  }

  /** Grants credit for one payload. */
  grant(id: number, bytes: number): void {
    if (!this.#hasEnded) this.#writer.add(FRAME.credit, 0, id, number32(bytes));
  }

  /** The connection has ended: nothing is granted any more. */
  end(): void {
    this.#hasEnded = true;
  }
}
